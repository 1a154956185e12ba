//go:build !race

package kubernetes

const rounds = 1000
