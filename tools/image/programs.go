package main

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// gitPrograms are the parts of git that fetching, planning and pushing need, beside git itself.
var gitPrograms = []string{"git-remote-http", "git-remote-https"}

// programs puts the programs in that some actions run.
func (f files) programs(ctx context.Context, o options) error {
	if o.helm != "" {
		if err := f.linked(o.helm, "/usr/bin/helm"); err != nil {
			return err
		}
	}
	if !o.git {
		return nil
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return fmt.Errorf("put git into the image: %w: install it on this machine", err)
	}
	printed, err := exec.CommandContext(ctx, git, "--exec-path").Output()
	if err != nil {
		return fmt.Errorf("ask git where its parts are: %w", err)
	}
	parts := strings.TrimSpace(string(printed))
	if err := f.linked(git, "/usr/bin/git"); err != nil {
		return err
	}
	for _, name := range gitPrograms {
		if err := f.linked(filepath.Join(parts, name), filepath.Join(parts, name)); err != nil {
			return err
		}
	}
	if ssh, err := exec.LookPath("ssh"); err == nil {
		return f.linked(ssh, "/usr/bin/ssh")
	}
	fmt.Fprintln(os.Stderr, "image: this machine has no ssh: the image reaches repositories by https alone")
	return nil
}

// linked puts a program in with the loader and the libraries that it names.
func (f files) linked(from, to string) error {
	if err := f.program(from, to); err != nil {
		return err
	}
	loader, libraries, err := needs(from)
	if err != nil {
		return fmt.Errorf("read what %s needs: %w", from, err)
	}
	if loader != "" {
		if err := f.program(loader, loader); err != nil {
			return err
		}
	}
	for _, name := range libraries {
		where, err := library(name)
		if err != nil {
			return fmt.Errorf("%s needs %s: %w", from, name, err)
		}
		if _, there := f[where]; there {
			continue
		}
		if err := f.linked(where, where); err != nil {
			return err
		}
	}
	return nil
}

func needs(program string) (loader string, libraries []string, err error) {
	file, err := elf.Open(program)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, p.Filesz)
			if _, err := p.ReadAt(text, 0); err != nil {
				return "", nil, err
			}
			loader = strings.TrimRight(string(text), "\x00")
		}
	}
	libraries, err = file.ImportedLibraries()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return loader, nil, err
	}
	return loader, libraries, nil
}

// library finds a library where the loader looks when nobody told it anything.
func library(name string) (string, error) {
	triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	for _, dir := range []string{"/lib/" + triplet, "/usr/lib/" + triplet, "/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		where := filepath.Join(dir, name)
		if _, err := os.Stat(where); err == nil {
			return where, nil
		}
	}
	return "", errors.New("this machine has no such library")
}

// architecture is what the binary was built for, in an image's words.
func architecture(binary string) string {
	file, err := elf.Open(binary)
	if err != nil {
		return runtime.GOARCH
	}
	defer func() { _ = file.Close() }() // it was only read
	return cmp.Or(map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[file.Machine], runtime.GOARCH)
}
