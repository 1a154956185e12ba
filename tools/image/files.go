package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const certificates = "/etc/ssl/certs/ca-certificates.crt"

// directory in a file's mode says that it is one.
const directory = 1 << 32

// files is what a layer holds, by absolute path.
type files map[string]file

// file is a regular file, a link when it has a target, a directory when its mode says so.
type file struct {
	mode   int64
	body   []byte
	target string
	owned  bool // by the user of the process
}

// system is what any program expects: who it is, who signs certificates, where it may write.
func (f files) system() {
	f["/etc/passwd"] = file{mode: 0o644, body: []byte("root:x:0:0:root:/:/sbin/nologin\nastern:x:" + user + ":" + user + ":astern:/tmp:/sbin/nologin\n")}
	f["/etc/group"] = file{mode: 0o644, body: []byte("root:x:0:\nastern:x:" + user + ":\n")}
	f["/etc/nsswitch.conf"] = file{mode: 0o644, body: []byte("hosts: files dns\n")}
	f[certificates] = file{mode: 0o644, body: roots()}
	f["/tmp"] = file{mode: directory | 0o1777}
	f["/var/lib/astern"] = file{mode: directory | 0o750, owned: true}
}

// roots are the certificate authorities of the pinned bundle. Those that are trusted for some certificates only cannot be
// written down here, and are left out.
func roots() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return all.Bytes()
}

// program puts an executable in.
func (f files) program(from, to string) error {
	body, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("put %s into the image: %w", to, err)
	}
	f[to] = file{mode: 0o755, body: body}
	return nil
}

// layer packs the files in the order of their paths, with the directories they lie in and without any time.
func (f files) layer() (v1.Layer, error) {
	f.directories()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if err := f[name].pack(w, name); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
}

func (f files) directories() {
	for name := range maps.Clone(f) {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if _, there := f[dir]; !there {
				f[dir] = file{mode: directory | 0o755}
			}
		}
	}
}

func (e file) pack(w *tar.Writer, name string) error {
	h := &tar.Header{Name: name[1:], Mode: e.mode & 0o7777, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Size: int64(len(e.body)), Format: tar.FormatPAX}
	switch {
	case e.mode&directory != 0:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case e.target != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.target
	}
	if e.owned {
		h.Uid, h.Gid = 65532, 65532
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(e.body)
	return err
}
