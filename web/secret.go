package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// secretFor is how long a secret read from its file is used before the file is read again: a rotated or withdrawn
// secret is obeyed within this time.
const secretFor = time.Second

// digest stands for a secret: comparing digests takes the same time whatever the secrets are.
type digest [sha256.Size]byte

func digestOf(secret []byte) digest { return sha256.Sum256(secret) }

// secretFile is a secret by reference. It is safe for concurrent use and never keeps or prints the secret itself.
type secretFile struct {
	path string
	now  func() time.Time

	mu     sync.Mutex
	readAt time.Time
	held   digest
}

// matches says whether the secret presented is the one in the file now. A file that cannot be read or is empty is an
// error: nobody is let in by it.
func (f *secretFile) matches(presented digest) (bool, error) {
	held, err := f.digest()
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(held[:], presented[:]) == 1, nil
}

func (f *secretFile) digest() (digest, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if age := now.Sub(f.readAt); !f.readAt.IsZero() && age >= 0 && age < secretFor {
		return f.held, nil
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return digest{}, fmt.Errorf("read a secret: %w", err)
	}
	secret := bytes.TrimSpace(raw)
	if len(secret) == 0 {
		return digest{}, fmt.Errorf("read a secret from %s: %w", f.path, errors.New("the file is empty"))
	}
	f.held, f.readAt = digestOf(secret), now
	return f.held, nil
}
