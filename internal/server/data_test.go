package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes a self-signed certificate for 127.0.0.1.
func writeCertificate(t *testing.T, to TLS, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{to.Key: {Type: "PRIVATE KEY", Bytes: private}, to.Cert: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestBrokenRenewalKeepsTheOldCertificate(t *testing.T) {
	dir := t.TempDir()
	files := TLS{filepath.Join(dir, "crt"), filepath.Join(dir, "key")}
	writeCertificate(t, files, 1)
	c, err := loadCertificate(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c.looked = time.Time{}
		pair, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	other := t.TempDir()
	writeCertificate(t, TLS{files.Cert, filepath.Join(other, "key")}, 2) // the key does not fit yet
	if got := serial(); got != 1 {
		t.Errorf("half a renewal: serial %d", got)
	}
	if err := os.Remove(files.Cert); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 1 {
		t.Errorf("a missing file: serial %d", got)
	}
	writeCertificate(t, files, 3)
	if got := serial(); got != 3 {
		t.Errorf("a whole renewal: serial %d", got)
	}
}

func TestMasterKeyForms(t *testing.T) {
	want := strings.Repeat("k", 32)
	for text, ok := range map[string]bool{
		hex.EncodeToString([]byte(want)):                 true,
		"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n": true,
		"":                 false,
		"a2tra2tra2tra2s=": false,
		want:               false,
	} {
		key, err := parseMasterKey(text)
		if (err == nil) != ok || ok && string(key) != want {
			t.Errorf("%q: %q, %v", text, key, err)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

func TestMasterKeyFile(t *testing.T) {
	cfg := config(t)
	if err := makeData(cfg.Data); err != nil {
		t.Fatal(err)
	}
	made, err := loadMasterKey(&cfg)
	if err != nil || !made.fresh {
		t.Fatal(made.fresh, err)
	}
	st, err := os.Stat(filepath.Join(cfg.Data, "master.key"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	again, err := loadMasterKey(&cfg)
	if err != nil || again.fresh || string(again.bytes) != string(made.bytes) {
		t.Errorf("another key at the second start, %v", err)
	}
	again.discard()
	if there, _ := exists(again.from); !there {
		t.Error("a key that was there before was removed")
	}
	left, err := filepath.Glob(filepath.Join(cfg.Data, ".master-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestMasterKeyOfAnotherDatabase(t *testing.T) {
	cfg := onFile(t)
	local(t, &cfg, true).Close()
	wrong := cfg
	wrong.secrets.masterKey = strings.Repeat("00", 32)
	if _, err := OpenLocal(t.Context(), &wrong, LocalOptions{Log: cfg.Logger(io.Discard)}); err == nil || !strings.Contains(err.Error(), "BERTH_MASTER_KEY") {
		t.Errorf("error %v", err)
	}
	key := filepath.Join(cfg.Data, "master.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLocal(t.Context(), &cfg, LocalOptions{Log: cfg.Logger(io.Discard)}); err == nil || !strings.Contains(err.Error(), "put the file back") {
		t.Errorf("error %v", err)
	}
	if there, _ := exists(key); there {
		t.Error("a key that fits nothing stays behind")
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	local(t, &cfg, false)
}

// A first start that fails must not take the key of what it has stored along.
func TestMasterKeyOfAFailedStart(t *testing.T) {
	t.Run("behind the database", func(t *testing.T) {
		cfg := onFile(t)
		if err := makeData(cfg.Data); err != nil {
			t.Fatal(err)
		}
		blobs := filepath.Join(cfg.Data, blobsName)
		if err := os.WriteFile(blobs, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := openCore(t.Context(), &cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "storage: ") {
			t.Fatalf("%v, %v", c, err)
		}
		if err := os.Remove(blobs); err != nil {
			t.Fatal(err)
		}
		local(t, &cfg, true)
	})
	t.Run("before it", func(t *testing.T) {
		cfg := onFile(t)
		if err := makeData(cfg.Data); err != nil {
			t.Fatal(err)
		}
		good := cfg.Database
		cfg.Database = "sqlite:" + filepath.Join(cfg.Data, "nowhere", "berth.db")
		if c, err := openCore(t.Context(), &cfg, slog.New(slog.DiscardHandler)); err == nil {
			t.Fatal(c)
		}
		if there, _ := exists(filepath.Join(cfg.Data, "master.key")); there {
			t.Error("a key that nothing uses stays behind")
		}
		cfg.Database = good
		local(t, &cfg, true)
	})
}

func TestDataIsForItsOwner(t *testing.T) {
	cfg := config(t)
	start(t, cfg)
	for name, want := range map[string]os.FileMode{"": 0o700, "berth.sock": 0o600, "master.key": 0o600, "berth.lock": 0o600, "blobs": 0o700} {
		st, err := os.Stat(filepath.Join(cfg.Data, name))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != want {
			t.Errorf("%s: mode %v", name, st.Mode())
		}
	}
}

func TestLockNamesItsHolder(t *testing.T) {
	dir := t.TempDir()
	held, err := lockData(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockData(dir)
	if want := fmt.Sprintf("process %d", os.Getpid()); !errors.Is(err, errLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v", err)
	}
	if err := held.release(); err != nil {
		t.Fatal(err)
	}
	again, err := lockData(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.release()
}

func TestCommandWaitsForTheLock(t *testing.T) {
	cfg := onFile(t)
	first := local(t, &cfg, true)
	opened := make(chan error, 1)
	go func() {
		l, err := OpenLocal(context.Background(), &cfg, LocalOptions{Notice: io.Discard, Log: cfg.Logger(io.Discard)})
		if err == nil {
			err = l.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("two have the data at once: %v", err)
	case <-time.After(3 * nextTry):
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestServerWaitsForACommand(t *testing.T) {
	cfg := onFile(t)
	command := local(t, &cfg, true)
	ctx, stop := context.WithCancel(t.Context())
	started := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, Outlets{Out: signal(started), Log: io.Discard}) }()
	select {
	case <-started:
		t.Error("the server works beside a command")
	case err := <-ended:
		t.Fatalf("the server does not wait: %v", err)
	case <-time.After(3 * nextTry):
	}
	if err := command.Close(); err != nil {
		t.Fatal(err)
	}
	<-started
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// signal is closed by the first write.
type signal chan struct{}

func (s signal) Write(p []byte) (int, error) {
	close(s)
	return len(p), nil
}

func TestNobodyReadsTheWelcome(t *testing.T) {
	cfg := onFile(t)
	out, err := os.Open(os.DevNull) // for reading alone
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var log buffer
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, Outlets{Out: out, Log: &log}) }()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "msg=serving"); {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not come up\n%s", &log)
		}
		runtime.Gosched()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "berth user passwd") {
		t.Errorf("no hint in\n%s", &log)
	}
}

func TestSlipInTheDirectoryMakesNothing(t *testing.T) {
	cfg := onFile(t)
	_, err := OpenLocal(t.Context(), &cfg, LocalOptions{Log: cfg.Logger(io.Discard)})
	if err == nil || !strings.Contains(err.Error(), "there is no registry in "+cfg.Data) {
		t.Errorf("error %v", err)
	}
	if there, _ := exists(cfg.Data); there {
		t.Error("the directory was made")
	}
}
