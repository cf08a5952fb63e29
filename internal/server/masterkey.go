package server

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const masterKeyBytes = 32

// A masterKey seals the secrets that must stay recoverable.
type masterKey struct {
	bytes []byte
	from  string // where it comes from, for messages
	fresh bool   // the file was written by this very call
}

// loadMasterKey takes the key from the environment or its file. A file that is
// absent is made: it is durable before the database first depends on it.
func loadMasterKey(c *Config) (masterKey, error) {
	if c.secrets.masterKey != "" {
		key, err := parseMasterKey(c.secrets.masterKey)
		if err != nil {
			return masterKey{}, fmt.Errorf("%s: %w", envMasterKey, err)
		}
		return masterKey{bytes: key, from: envMasterKey}, nil
	}
	path := c.masterKeyFile()
	text, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := makeMasterKey(path)
		if err != nil {
			return masterKey{}, fmt.Errorf("master key: %w", err)
		}
		return masterKey{bytes: key, from: path, fresh: true}, nil
	}
	if err != nil {
		return masterKey{}, fmt.Errorf("master key: %w", err)
	}
	key, err := parseMasterKey(string(text))
	if err != nil {
		return masterKey{}, fmt.Errorf("master key file %s: %w", path, err)
	}
	return masterKey{bytes: key, from: path}, nil
}

// discard removes a key file that this start made and no database uses.
func (k masterKey) discard() {
	if k.fresh {
		_ = os.Remove(k.from) // it is in nobody's way
	}
}

// parseMasterKey reads 32 bytes in base64 or hexadecimal. Its errors never
// repeat the text.
func parseMasterKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(masterKeyBytes) {
		if key, err := hex.DecodeString(text); err == nil {
			return key, nil
		}
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != masterKeyBytes {
		return nil, errors.New("a master key is 32 bytes in base64 (openssl rand -base64 32) or hexadecimal")
	}
	return key, nil
}

func makeMasterKey(path string) ([]byte, error) {
	key := make([]byte, masterKeyBytes)
	_, _ = rand.Read(key) // never fails
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-*") // 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	// Link, unlike rename, never replaces a key that another process made.
	if err := os.Link(f.Name(), path); err != nil {
		return nil, err
	}
	return key, syncDir(dir)
}
