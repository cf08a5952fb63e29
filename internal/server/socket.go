package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/web"
)

// The local socket speaks HTTP: POST /NAME with an operation's arguments in
// JSON answers its result, or an answerError with status 400 or 500. Only the
// owner of the data directory gets through: the directory and the socket are
// his alone, and the kernel tells who is at the other end.

const (
	socketBody   = 1 << 20  // bytes of arguments
	socketAnswer = 64 << 20 // bytes of a result
	socketHeader = 5 * time.Second
)

type answerError struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
}

// serveSocket answers on the socket of dir until the returned function is
// called, which lets operations finish until its context ends, cuts off those
// that have not, and returns when none uses the core any more. The caller holds the lock of dir, so a socket that is there already
// belongs to nobody any more.
func serveSocket(dir string, c *core, log *slog.Logger) (stop func(context.Context) error, err error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("local socket: %w", err)
	}
	short, done, err := shortPath(path)
	if err != nil {
		return nil, fmt.Errorf("local socket: %w", err)
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("local socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // it knows the short name alone; stop removes the file
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("local socket: %w", err)
	}
	inside := web.NewGate()
	srv := &http.Server{
		Handler:           inside.Around(socketHandler(c)),
		ReadHeaderTimeout: socketHeader,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := running(srv.Serve(ownerOnly{l, log})); err != nil {
			log.Error("local socket: commands are not answered any more", "err", err)
		}
	}()
	return func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close() // an operation takes too long: its context ends
		}
		return errors.Join(err, left(inside.Close), os.Remove(path))
	}, nil
}

// ownerOnly accepts connections of this process's user and of root.
type ownerOnly struct {
	*net.UnixListener
	log *slog.Logger
}

func (l ownerOnly) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(conn)
		if err == nil && mayOperate(uid) {
			return conn, nil
		}
		l.log.Warn("local socket: refused", "uid", uid, "err", err)
		_ = conn.Close()
	}
}

func mayOperate(uid int) bool { return uid == os.Geteuid() || uid == 0 }

func socketHandler(c *core) http.Handler {
	serve := map[string]endpoint{}
	for _, e := range endpoints() {
		serve["/"+e.name] = e
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, known := serve[r.URL.Path]
		if !known {
			answer(w, nil, unknownOp(strings.TrimPrefix(r.URL.Path, "/")))
			return
		}
		if r.Method != http.MethodPost {
			answer(w, nil, fault.New(fault.Unsupported, "Operations are called by POST."))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, socketBody))
		if err != nil {
			answer(w, nil, fault.Wrap(fault.TooLarge, err, "The arguments are larger than %d bytes.", socketBody))
			return
		}
		// The deadline was for the arguments; an operation may take its time.
		if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
			answer(w, nil, err)
			return
		}
		out, err := e.serve(r.Context(), c, body)
		answer(w, out, err)
	})
}

// answer renders a result. The owner of the machine may see what went wrong
// inside, too.
func answer(w http.ResponseWriter, out any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
		a := answerError{Code: fault.CodeOf(err), Message: err.Error()}
		var f *fault.Error
		if errors.As(err, &f) && f.Code != fault.Internal {
			a.Message = f.Msg
		} else {
			status = http.StatusInternalServerError
		}
		out = a
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // the other end went away
}

// remote is the other end of a socket.
type remote struct{ client *http.Client }

// dial connects to the server of a data directory; fs.ErrNotExist or
// ECONNREFUSED in the error mean that there is none.
func dial(ctx context.Context, dir string) (*remote, error) {
	connect := func(ctx context.Context) (net.Conn, error) {
		short, done, err := shortPath(filepath.Join(dir, socketName))
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{Timeout: socketHeader}).DialContext(ctx, "unix", short)
	}
	first, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	first.Close()
	return &remote{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx) },
	}}}, nil
}

func (r *remote) call(ctx context.Context, name string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://berth/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running server: %w", err)
	}
	defer res.Body.Close()
	d := json.NewDecoder(io.LimitReader(res.Body, socketAnswer))
	if res.StatusCode == http.StatusOK {
		if err := d.Decode(out); err != nil {
			return fmt.Errorf("answer of the running server: %w", err)
		}
		return nil
	}
	var a answerError
	if err := d.Decode(&a); err != nil || a.Code == "" {
		return fmt.Errorf("the running server answered %s", res.Status)
	}
	if a.Code == fault.Internal {
		return errors.New(a.Message)
	}
	return &fault.Error{Code: a.Code, Msg: a.Message}
}

func (r *remote) close() { r.client.CloseIdleConnections() }
