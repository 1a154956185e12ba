//go:build cluster

package charts

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/tools/controlplane"
)

// kubelet runs the one container of the chart's pod as a kubelet would: the image unpacked as its root, the volumes as the
// pod names them, its service account's token, its arguments, its user. It needs root, as a kubelet does.
type kubelet struct {
	t               *testing.T
	plane           *controlplane.ControlPlane
	namespace, root string
	cmd             *exec.Cmd
	address         string
}

const ownUser = 65532

func newKubelet(t *testing.T, plane *controlplane.ControlPlane, namespace string) *kubelet {
	k := &kubelet{t: t, plane: plane, namespace: namespace, root: t.TempDir()}
	image := filepath.Join(t.TempDir(), "image.tar")
	k.in("..", "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", filepath.Join(k.root, "astern"), "./cmd/astern")
	k.in("..", "go", "run", "./tools/image", "-binary", filepath.Join(k.root, "astern"), "-out", image)
	k.unpack(image)
	t.Cleanup(k.stop)
	return k
}

func (k *kubelet) in(dir, program string, args ...string) string {
	k.t.Helper()
	cmd := exec.CommandContext(k.t.Context(), program, args...)
	cmd.Dir = dir
	printed, err := cmd.CombinedOutput()
	require.NoError(k.t, err, "%s %v: %s", program, args, printed)
	return string(printed)
}

// unpack writes the image's layers below the root.
func (k *kubelet) unpack(path string) {
	image, err := tarball.ImageFromPath(path, nil)
	require.NoError(k.t, err)
	layers, err := image.Layers()
	require.NoError(k.t, err)
	for _, layer := range layers {
		packed, err := layer.Uncompressed()
		require.NoError(k.t, err)
		for r := tar.NewReader(packed); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(k.t, err)
			where := filepath.Join(k.root, h.Name)
			if h.Typeflag == tar.TypeDir {
				require.NoError(k.t, os.MkdirAll(where, 0o755))
				require.NoError(k.t, os.Chmod(where, h.FileInfo().Mode()))
				require.NoError(k.t, os.Chown(where, h.Uid, h.Gid))
				continue
			}
			body, err := io.ReadAll(r)
			require.NoError(k.t, err)
			require.NoError(k.t, os.WriteFile(where, body, h.FileInfo().Mode()))
		}
	}
}

// read gives an object of the namespace as the API server holds it.
func (k *kubelet) read(ref string) object {
	k.t.Helper()
	o, err := k.plane.Get(k.t.Context(), k.namespace, ref)
	require.NoError(k.t, err)
	return object(o.Object)
}

// mount writes a volume's files, as the container's user may read them.
func (k *kubelet) mount(dir string, files map[string]string) {
	where := filepath.Join(k.root, dir)
	require.NoError(k.t, os.MkdirAll(where, 0o755))
	for name, text := range files {
		next := filepath.Join(where, "."+name)
		require.NoError(k.t, os.WriteFile(next, []byte(text), 0o444))
		require.NoError(k.t, os.Rename(next, filepath.Join(where, name))) // whole or not at all
	}
}

// volumes mounts what the pod says: projected ConfigMaps, and Secrets.
func (k *kubelet) volumes(pod object) {
	mounts := map[string]string{}
	list, _ := pod.at("spec", "containers", 0, "volumeMounts").([]any)
	for _, m := range list {
		mounts[object(m.(map[string]any)).at("name").(string)], _ = object(m.(map[string]any)).at("mountPath").(string)
	}
	volumes, _ := pod.at("spec", "volumes").([]any)
	for _, v := range volumes {
		volume := object(v.(map[string]any))
		dir := mounts[volume.at("name").(string)]
		sources, _ := volume.at("projected", "sources").([]any)
		for _, s := range sources {
			if name, ok := object(s.(map[string]any)).at("configMap", "name").(string); ok && dir != "" {
				k.mount(dir, texts(k.read("configmap/"+name).at("data")))
			}
		}
		if name, ok := volume.at("secret", "secretName").(string); ok {
			k.mount(dir, decoded(k.t, k.read("secret/"+name).at("data")))
		}
	}
}

func texts(data any) map[string]string {
	files := map[string]string{}
	m, _ := data.(map[string]any)
	for name, text := range m {
		files[name], _ = text.(string)
	}
	return files
}

func decoded(t *testing.T, data any) map[string]string {
	files := texts(data)
	for name, text := range files {
		raw, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		files[name] = string(raw)
	}
	return files
}

// account mounts the token and the authority as every pod has them, and gives the variables that name the API server.
func (k *kubelet) account(pod object) []string {
	name, _ := pod.at("spec", "serviceAccountName").(string)
	path, err := k.plane.KubeconfigFor(k.t.Context(), k.namespace, name)
	require.NoError(k.t, err)
	raw, err := os.ReadFile(path)
	require.NoError(k.t, err)
	var config map[string]any
	require.NoError(k.t, yaml.Unmarshal(raw, &config))
	token, _ := object(config).at("users", 0, "user", "token").(string)
	require.NotEmpty(k.t, token)
	k.mount("/var/run/secrets/kubernetes.io/serviceaccount", map[string]string{"token": token, "ca.crt": k.authority(object(config)), "namespace": k.namespace})
	server, _ := object(config).at("clusters", 0, "cluster", "server").(string)
	host, port, _ := strings.Cut(strings.TrimPrefix(server, "https://"), ":")
	return []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port}
}

func (k *kubelet) authority(config object) string {
	if data, ok := config.at("clusters", 0, "cluster", "certificate-authority-data").(string); ok {
		raw, err := base64.StdEncoding.DecodeString(data)
		require.NoError(k.t, err)
		return string(raw)
	}
	path, _ := config.at("clusters", 0, "cluster", "certificate-authority").(string)
	raw, err := os.ReadFile(path)
	require.NoError(k.t, err)
	return string(raw)
}

var listens = regexp.MustCompile(`"address":"([^"]+:\d+)"`)

// start runs the container of the pod. The one thing that is not the pod's is the address: many tests share this machine.
func (k *kubelet) start(pod object) {
	k.volumes(pod)
	k.cmd = exec.CommandContext(context.Background(), "/usr/bin/astern")
	args, _ := pod.at("spec", "containers", 0, "args").([]any)
	for _, a := range args {
		k.cmd.Args = append(k.cmd.Args, a.(string))
	}
	k.cmd.Args = append(k.cmd.Args, "--web.listen-address=127.0.0.1:0")
	k.cmd.Path, k.cmd.Err, k.cmd.Dir = "/usr/bin/astern", nil, "/var/lib/astern"
	k.cmd.Env = append([]string{"PATH=/usr/bin", "HOME=/tmp"}, k.account(pod)...)
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: k.root, Credential: &syscall.Credential{Uid: ownUser, Gid: ownUser}, Pdeathsig: syscall.SIGKILL}
	stderr, err := k.cmd.StderrPipe()
	require.NoError(k.t, err)
	require.NoError(k.t, k.cmd.Start())
	found := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			k.t.Log(lines.Text())
			if m := listens.FindStringSubmatch(lines.Text()); m != nil && strings.Contains(lines.Text(), "listening") {
				found <- m[1]
			}
		}
		close(found)
	}()
	var ok bool
	k.address, ok = <-found
	require.True(k.t, ok, "astern ended before it listened")
}

func (k *kubelet) stop() {
	if k.cmd != nil && k.cmd.Process != nil {
		_ = k.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = k.cmd.Wait()
	}
}

// astern runs a client command as the person whose token is in the Secret.
func (k *kubelet) astern(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(k.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(k.root, "astern"), append(args, "--server=http://"+k.address, "--token-file="+filepath.Join(k.root, "etc/astern/secrets/astern-tokens/sre"))...)
	printed, err := cmd.CombinedOutput()
	return string(printed), err
}

// config is the digest of the configuration that is in force.
func (k *kubelet) config() string {
	printed, err := k.astern("status", "-o", "json")
	require.NoError(k.t, err, printed)
	var answer struct {
		Status struct {
			Config string `json:"config"`
		} `json:"status"`
	}
	require.NoError(k.t, json.Unmarshal([]byte(printed), &answer))
	return answer.Status.Config
}
