package main

import (
	"context"

	"astern.dev/astern/web"
)

// wish tells the server something that is answered with a plain "done", and says so.
func (a *app) wish(ctx context.Context, path string, request any, name, format string, args ...any) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	got, err := post[web.Done](ctx, c, path, request)
	if err != nil {
		return err
	}
	return said(a, got, name, format, args...)
}
