// Package client reaches the network for actions: a dialer that keeps the egress rules, an HTTP client without redirects,
// endless answers or secrets in its errors, and the Prometheus and Alertmanager readers on it.
// Of ours it imports actions alone; the actions, the configuration and the engine use it.
package client
