package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"berth.dev/berth/internal/web"
)

// Outlets are where a server speaks.
type Outlets struct {
	Version string
	Program string    // how the command was called, for lines to paste; empty: berth
	Out     io.Writer // plain text for who started it
	Log     io.Writer
	Opened  func() // called, where set, when what is made once for each core has been made
}

// Run serves a registry until ctx ends, and then in good order: it accepts
// nothing more, lets the requests in flight finish for limits.drain, and closes
// what it opened. Uploads that were cut off can go on with the next start.
func Run(ctx context.Context, cfg Config, o Outlets) (err error) {
	log := cfg.Logger(o.Log)
	for _, name := range cfg.ignored {
		log.Warn("this environment variable sets nothing", "name", name)
	}
	if err := makeData(cfg.Data); err != nil {
		return err
	}
	held, err := takeData(ctx, cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.release()) }()

	// The addresses come first: where one is taken, nothing has happened yet.
	public, err := listen(&cfg, log)
	if err != nil {
		return err
	}
	defer public.Close()
	var admin net.Listener
	if cfg.AdminListen != "" {
		if admin, err = net.Listen("tcp", cfg.AdminListen); err != nil {
			return fmt.Errorf("admin_listen: %w", err)
		}
		defer admin.Close()
	}

	c, err := openCore(ctx, &cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.address = publicURL(&cfg, public.Addr().String())
	if o.Opened != nil {
		o.Opened()
	}
	s, err := assemble(&cfg, c, log)
	if err != nil {
		return err
	}
	stopSocket, err := open(ctx, &cfg, c, o, public.Addr(), log)
	if err != nil {
		return err
	}
	log.Info("serving", "version", o.Version, "address", public.Addr().String(), "tls", cfg.TLS.Cert != "",
		"database", string(c.db.Engine()), "data", cfg.Data, "pid", os.Getpid())
	err = s.serve(ctx, &cfg, c, public, admin)
	log.Info("stopping")
	socketCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), socketHeader)
	defer cancel()
	return errors.Join(err, stopSocket(socketCtx))
}

// open makes the first account where there is none, opens the local socket,
// and says so: who reads the address can use both.
func open(ctx context.Context, cfg *Config, c *core, o Outlets, addr net.Addr, log *slog.Logger) (stop func(context.Context) error, err error) {
	first, err := c.bootstrap(ctx, cfg.secrets.adminPassword)
	if first != nil {
		debug.FreeOSMemory() // hashing the password took more than an idle server needs
	}
	if err == nil {
		stop, err = serveSocket(cfg.Data, c, log)
	}
	if err == nil || first != nil { // a password is told once, whatever else fails
		if e := welcome(o, cfg, addr, first); e != nil {
			log.Warn("nobody reads the standard output; where a password was to be shown, set one by `berth user passwd`", "err", e)
		}
	}
	if err != nil && stop != nil {
		err = errors.Join(err, stop(ctx))
	}
	return stop, err
}

// takeData locks the data directory for a server. It waits a little for a
// command that works there, and not at all for another server.
func takeData(ctx context.Context, dir string) (*lock, error) {
	retry := time.NewTicker(nextTry)
	defer retry.Stop()
	for deadline := time.Now().Add(patience); ; {
		held, err := lockData(dir)
		if err == nil || !errors.Is(err, errLocked) || time.Now().After(deadline) {
			return held, err
		}
		if other, e := dial(ctx, dir); e == nil {
			other.close()
			return nil, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Logger is what the configuration says, writing to w.
func (c *Config) Logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Log.Level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// listen opens the public address. TLS is added by http.Server, which needs to
// know of it for HTTP/2.
func listen(cfg *Config, log *slog.Logger) (*publicListener, error) {
	p := &publicListener{}
	if cfg.TLS.Cert != "" {
		var err error
		if p.cert, err = loadCertificate(cfg.TLS, log); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", cfg.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen: another program serves %s; choose another address by --listen or BERTH_LISTEN (port 0: a free one)", cfg.Listen)
	case err != nil:
		return nil, fmt.Errorf("listen: %w", err)
	}
	p.Listener = l
	return p, nil
}

type publicListener struct {
	net.Listener
	cert *certificate // nil: plain HTTP
}

// surfaces are the two HTTP servers.
type surfaces struct {
	public  *http.Server
	drained func(context.Context) error // waits for the requests of public
	admin   *http.Server
	inside  *web.Gate // of admin
}

// leaving bounds the wait for handlers that were cut off: they notice it at
// once, and save what came before they go.
const leaving = 10 * time.Second

func assemble(cfg *Config, c *core, log *slog.Logger) (*surfaces, error) {
	figures := prometheus.NewRegistry()
	measured := web.NewMetrics(figures)
	if err := register(figures, c); err != nil {
		return nil, err
	}
	origin, err := web.NewOrigin(cfg.ExternalURL, cfg.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("external_url: %w", err)
	}
	h := newHealth(c, cfg.Data)
	public := web.New(web.Options{
		Log:           log,
		Metrics:       measured,
		Origin:        origin,
		Progress:      cfg.Limits.Progress,
		HeaderTimeout: cfg.Limits.HeaderTimeout,
		Idle:          cfg.Limits.Idle,
		MaxHeader:     int(cfg.Limits.Header),
		MaxInFlight:   cfg.Limits.Requests,
	}, mounts(cfg, c, origin, measured, figures, h)...)
	s := &surfaces{public: public.HTTP(), drained: public.Drained, inside: web.NewGate()}
	s.public.Protocols = new(http.Protocols)
	s.public.Protocols.SetHTTP1(true)
	s.public.Protocols.SetHTTP2(true) // over TLS alone
	if cfg.AdminListen != "" {
		s.admin = adminServer(figures, h, log)
		s.admin.Handler = s.inside.Around(s.admin.Handler)
	}
	return s, nil
}

// serve runs everything that runs until ctx ends or one part fails.
func (s *surfaces) serve(ctx context.Context, cfg *Config, c *core, public *publicListener, admin net.Listener) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	g, failed := errgroup.WithContext(ctx)
	g.Go(func() error {
		if public.cert != nil {
			s.public.TLSConfig = public.cert.config()
			return running(s.public.ServeTLS(public.Listener, "", ""))
		}
		return running(s.public.Serve(public.Listener))
	})
	if admin != nil {
		g.Go(func() error { return running(s.admin.Serve(admin)) })
	}
	// Collection, jobs and counts go on while requests finish.
	g.Go(func() error { return c.registry.Run(background) })
	g.Go(func() error { return c.jobs.Run(background) })
	g.Go(func() error {
		<-failed.Done()
		defer stopBackground()
		return s.drain(cfg.Limits.Drain)
	})
	return g.Wait()
}

// drain ends both servers, cutting off what is not done in time. When it is
// done, nobody uses the core any more.
func (s *surfaces) drain(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := s.public.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.public.Close()
	}
	if s.admin != nil {
		err = errors.Join(err, s.admin.Close())
	}
	return errors.Join(err, left(s.drained), left(s.inside.Close))
}

// left waits, not for ever, until those who were cut off have left.
func left(drained func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaving)
	defer cancel()
	return drained(ctx)
}

// running turns the orderly end of a server into no error.
func running(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
