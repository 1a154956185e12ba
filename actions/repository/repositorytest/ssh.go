package repositorytest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"astern.dev/astern/actions/repository"
)

// SSH serves an origin by ssh to the one key it knows, and gives a connection to it with a mirror of its own.
func (o *Origin) SSH(t testing.TB) *repository.Connection {
	t.Helper()
	dir := t.TempDir()
	hostKey, hostLine := sshKey(t, filepath.Join(dir, "host"))
	userKey, _ := sshKey(t, filepath.Join(dir, "key"))
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(userKey.PublicKey().Marshal()) {
			return nil, fmt.Errorf("unknown key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(hostKey)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveSSH(conn, config, filepath.Dir(filepath.Dir(o.Bare)))
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	known := fmt.Sprintf("[localhost]:%s %s", port, hostLine)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known), 0o600))
	return &repository.Connection{
		URL: "ssh://git@localhost:" + port + "/team/config.git", Cache: t.TempDir(),
		SSH: repository.SSH{KeyFile: filepath.Join(dir, "key"), KnownHostsFile: filepath.Join(dir, "known_hosts")},
	}
}

// sshKey writes a private key and gives it, and its public half as a line.
func sshKey(t testing.TB, file string) (ssh.Signer, string) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return signer, string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
}

var gitCommand = regexp.MustCompile(`^(git-upload-pack|git-receive-pack) '(/[A-Za-z0-9_./-]+)'$`)

func serveSSH(conn net.Conn, config *ssh.ServerConfig, root string) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		if asked.ChannelType() != "session" {
			_ = asked.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, wishes, err := asked.Accept()
		if err != nil {
			return
		}
		go session(channel, wishes, root)
	}
}

// session runs the one command it is asked for, as git-shell does.
func session(channel ssh.Channel, wishes <-chan *ssh.Request, root string) {
	defer func() { _ = channel.Close() }()
	for wish := range wishes {
		var what struct{ Command string }
		if wish.Type != "exec" || ssh.Unmarshal(wish.Payload, &what) != nil {
			_ = wish.Reply(false, nil)
			continue
		}
		m := gitCommand.FindStringSubmatch(what.Command)
		_ = wish.Reply(m != nil, nil)
		if m == nil {
			return
		}
		cmd := exec.Command(m[1], filepath.Join(root, m[2])) //nolint:noctx // it ends with the connection, which is its standard input
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
		cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
		stdin, err := cmd.StdinPipe()
		if err != nil || cmd.Start() != nil {
			return
		}
		go func() { _, _ = io.Copy(stdin, channel); stdin.Close() }()
		status := struct{ Code uint32 }{}
		if cmd.Wait() != nil {
			status.Code = 1
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(&status))
		return
	}
}
