package neighbours

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
)

// Module gives the directory of a released Go module's files, such as path "github.com/argoproj/argo-cd/v3", out of Go's own
// cache, and downloads it first when it is not there. It is for what a module holds beside code, like CRDs.
func Module(ctx context.Context, path, pinned string) (dir string, err error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path+"@"+pinned)
	cmd.Env = buildEnv("GOFLAGS=")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	ended := cmd.Run()
	var answer struct{ Dir, Error string }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || ended != nil || answer.Error != "" {
		return "", fmt.Errorf("download module %s@%s: %w", path, pinned, errors.Join(ended, errors.New(answer.Error+said.String())))
	}
	return answer.Dir, nil
}
