package controlplane

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// network is a network namespace with a kube-proxy in it, where every pod's address answers. It needs root. One thread is
// in it and lives as long as the control plane; when this process ends the kernel takes all of it away.
type network struct {
	thread int
	home   *os.File // the namespace of this process
	calls  chan func()
}

// newNetwork makes a namespace whose other end, with the given address, is on the host.
func newNetwork(ip, host, inside, pods string) (*network, error) {
	home, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	n := &network{home: home, calls: make(chan func())}
	entered := make(chan error)
	go n.live(entered)
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("enter a network namespace (it needs root): %w", err)
	}
	near := fmt.Sprintf("astern%05d", rand.IntN(100000))
	run := func(args ...string) error {
		if said, err := exec.Command(ip, args...).CombinedOutput(); err != nil { //nolint:noctx // it takes no time
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, said)
		}
		return nil
	}
	err = errors.Join(
		run("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(n.thread)),
		run("address", "add", host+"/30", "dev", near), run("link", "set", near, "up"))
	if err == nil {
		n.do(func() {
			err = errors.Join(
				run("link", "set", "lo", "up"), run("link", "set", "eth0", "up"), run("address", "add", inside+"/30", "dev", "eth0"),
				run("route", "add", "default", "via", host), run("route", "add", "local", pods, "dev", "lo"))
		})
	}
	if err != nil {
		n.close()
	}
	return n, err
}

// live enters a new namespace with a thread that serves calls.
func (n *network) live(entered chan<- error) {
	runtime.LockOSThread()
	n.thread = unix.Gettid()
	err := syscall.Unshare(syscall.CLONE_NEWNET)
	entered <- err
	if err == nil {
		for call := range n.calls {
			call()
		}
		n.leave()
	}
}

// leave takes the thread back to where all others are. It must not end: the programs that it has started, long before it
// came here, would be killed with it.
func (n *network) leave() {
	if err := unix.Setns(int(n.home.Fd()), unix.CLONE_NEWNET); err != nil {
		select {}
	}
	runtime.UnlockOSThread()
}

// do runs something on the thread that is in the namespace: sockets it makes and programs it starts are there too.
func (n *network) do(something func()) {
	done := make(chan struct{})
	n.calls <- func() {
		defer close(done)
		something()
	}
	<-done
}

// join runs something on a thread of its own in the namespace.
func (n *network) join(something func()) error {
	file, err := os.Open(filepath.Join("/proc/self/task", strconv.Itoa(n.thread), "ns/net"))
	if err != nil {
		return err
	}
	joined := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		joined <- errors.Join(err, file.Close())
		if err == nil {
			something()
			n.leave()
		}
	}()
	return <-joined
}

func (n *network) listen(address string) (listener net.Listener, err error) {
	n.do(func() { listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp4", address) })
	return listener, err
}

func (n *network) close() { close(n.calls) }
