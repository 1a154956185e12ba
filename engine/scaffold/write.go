package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Written is what became of the files.
type Written struct {
	Files []File
	// Kept are the names of files that were there already: nothing is ever overwritten.
	Kept []string
}

// Write writes what is not there yet, into dir and below it.
func Write(dir string, files []File) (Written, error) {
	var w Written
	for _, f := range files {
		switch err := create(filepath.Join(dir, filepath.FromSlash(f.Name)), f); {
		case errors.Is(err, fs.ErrExist):
			w.Kept = append(w.Kept, f.Name)
		case err != nil:
			return w, fmt.Errorf("write %s: %w", f.Name, err)
		default:
			w.Files = append(w.Files, f)
		}
	}
	return w, nil
}

func create(path string, f File) error {
	mode, dirMode := fs.FileMode(0o644), fs.FileMode(0o755)
	if f.Secret || filepath.Base(filepath.Dir(path)) == "secrets" {
		dirMode = 0o700
	}
	if f.Secret {
		mode = 0o600
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(f.Text)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // half a file is worse than none
	}
	return nil
}
