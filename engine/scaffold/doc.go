// Package scaffold writes a first configuration from what a Prometheus and an Alertmanager know: their alerts, the
// labels these carry, the routes they take. All of it observes. It reads through actions/client and writes text; what a
// person must decide stands in it as a comment.
package scaffold
