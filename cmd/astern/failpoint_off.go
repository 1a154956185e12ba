//go:build !failpoint

package main

// failpoint is empty in production; the build with the tag failpoint can stop here.
func failpoint(string) {}
