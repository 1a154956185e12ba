package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func readyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "ready", Short: "Ask whether the server can take notifications in: exit code 1 when it cannot", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client("")
			if err != nil {
				return err
			}
			return c.ready(cmd.Context(), a.out)
		},
	}
}

// ready asks the one door that knows nobody and answers everybody in plain text.
func (c *apiClient) ready(ctx context.Context, out io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/-/ready", nil)
	if err != nil {
		return usage("ask %s: %s", c.base, err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(ctx, http.MethodGet, err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return c.unreachable(ctx, http.MethodGet, err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	text := visible(first)
	switch {
	case response.StatusCode == http.StatusOK && strings.HasPrefix(text, "astern "):
		_, err = fmt.Fprintln(out, text)
		return err
	case response.StatusCode == http.StatusServiceUnavailable:
		return fail(exitNo, "", "%s is not ready: %s", c.base, text)
	}
	return c.stranger()
}
