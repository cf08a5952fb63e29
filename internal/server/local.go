package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"berth.dev/berth/internal/iam"
)

// Local leads to the registry of a data directory on this machine: to the
// server that runs on it, or, where none runs, to the data itself. Its
// operations (see Call) do the same either way.
type Local struct {
	remote *remote // nil: core
	core   *core
	lock   *lock // nil: PostgreSQL, which many processes share
}

// LocalOptions say how to open a directory that no server has.
type LocalOptions struct {
	Make   bool      // where there is no registry yet, make one as a first start does
	Notice io.Writer // is told, once, the password of the first administrator
	Log    *slog.Logger
}

// patience bounds the wait for a server that is just starting or ending, and
// for another command.
const (
	patience = 15 * time.Second
	nextTry  = 50 * time.Millisecond
)

// OpenLocal connects or opens. Close must be called.
func OpenLocal(ctx context.Context, cfg *Config, o LocalOptions) (*Local, error) {
	if err := o.checkData(cfg); err != nil {
		return nil, err
	}
	retry := time.NewTicker(nextTry)
	defer retry.Stop()
	for deadline := time.Now().Add(patience); ; {
		r, err := dial(ctx, cfg.Data)
		if err == nil {
			return &Local{remote: r}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("the server's local socket: %w", err)
		}
		var held *lock
		if onSQLite(cfg) {
			held, err = lockData(cfg.Data)
		} else {
			err = nil
		}
		if err == nil {
			return o.open(ctx, cfg, held)
		}
		if !errors.Is(err, errLocked) || time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func onSQLite(cfg *Config) bool { return strings.HasPrefix(cfg.DatabaseURL(), "sqlite:") }

// checkData makes the data directory, or refuses one without a registry: a
// slip in its name must not leave an empty registry behind.
func (o LocalOptions) checkData(cfg *Config) error {
	if o.Make {
		return makeData(cfg.Data)
	}
	if path, sqlite := strings.CutPrefix(cfg.DatabaseURL(), "sqlite:"); sqlite {
		there, err := exists(path)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("there is no registry in %s: name its directory by --data, or make one by `berth serve --data %s`", cfg.Data, cfg.Data)
		}
	}
	return makeData(cfg.Data)
}

func (o LocalOptions) open(ctx context.Context, cfg *Config, held *lock) (*Local, error) {
	l := &Local{lock: held}
	var err error
	if l.core, err = openCore(ctx, cfg, o.Log); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	first, err := l.core.bootstrap(ctx, cfg.secrets.adminPassword)
	if first != nil && first.password != "" {
		fmt.Fprintf(o.Notice, "A new registry was made in %s. Its administrator is %s with the password %s (shown only now).\n", cfg.Data, iam.FirstName, first.password)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends the connection, or closes the data and gives the directory back.
// It may be called again.
func (l *Local) Close() error {
	if l.remote != nil {
		l.remote.close()
		return nil
	}
	var errs []error
	if l.core != nil {
		errs = append(errs, l.core.close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.release())
	}
	l.core, l.lock = nil, nil
	return errors.Join(errs...)
}
