// Package web is HTTP: Alertmanager's door and the API. It authenticates, decodes and answers; what an alert or a
// person's wish means is the engine's. It stands beside cmd/astern above everything but the actions: it imports engine,
// engine/config, engine/incident, engine/plan and rules, and none of them knows it.
package web
