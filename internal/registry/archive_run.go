package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// How archives are unpacked in the background.
const (
	unpackAtOnce   = 2                // archives
	unpackAttempts = 5                // then its failure is told
	unpackClaims   = 100              // of processes that died over it
	unpackClaim    = 30 * time.Second // for which a process says that it is at work
	unpackBeat     = 5 * time.Second  // between two times that it says so
	unpackPause    = 10 * time.Second // before the second attempt, twice that before the third
)

// errClaimLost ends the work on an archive that was cancelled, or that another
// node has taken over.
var errClaimLost = errors.New("registry: the archive is not ours any more")

// unpackers are the archives that this process works on.
type unpackers struct {
	wake chan struct{}
	mu   sync.Mutex
	m    map[string]context.CancelCauseFunc
}

func newUnpackers() *unpackers {
	return &unpackers{wake: make(chan struct{}, 1), m: map[string]context.CancelCauseFunc{}}
}

// wakeUp makes the process look for archives.
func (u *unpackers) wakeUp() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// stop ends the work on an archive.
func (u *unpackers) stop(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if cancel := u.m[id]; cancel != nil {
		cancel(errClaimLost)
	}
}

// begin notes an archive, unless it is being worked on or there are enough.
func (u *unpackers) begin(ctx context.Context, id string) (context.Context, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.m[id] != nil || len(u.m) == unpackAtOnce {
		return ctx, false
	}
	ctx, u.m[id] = context.WithCancelCause(ctx)
	return ctx, true
}

func (u *unpackers) end(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.m[id](nil)
	delete(u.m, id)
	u.wakeUp()
}

// runArchives unpacks archives until the context ends. What it is at then goes
// on with the next start.
func (r *Registry) runArchives(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	if r.db.Exact() {
		// Whoever had claimed one was a process before this.
		if err := r.update(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE archive SET claim = '', due = $1 WHERE state = 'unpacking' AND claim <> ''`, tx.Micros())
			return err
		}); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "archives that were being unpacked wait until their claims end", "err", err)
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.archives.wake:
		}
		wait, err := r.beginArchives(ctx, &work)
		if err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "archives to unpack were not found; it is tried again", "err", err)
		}
		timer.Reset(wait)
	}
}

// beginArchives starts what is due, and tells when to look again.
func (r *Registry) beginArchives(ctx context.Context, work *sync.WaitGroup) (time.Duration, error) {
	type row struct {
		ID  string
		Due int64
	}
	rows, err := db.All[row](ctx, r.db, `SELECT id, due FROM archive WHERE state = 'unpacking' ORDER BY due LIMIT $1`, 4*unpackAtOnce)
	if err != nil {
		return r.o.SweepEvery, err
	}
	wait := r.o.SweepEvery
	for _, a := range rows {
		if left := time.Until(time.UnixMicro(a.Due)); left > 0 {
			wait = min(wait, left)
			continue
		}
		if of, ok := r.archives.begin(ctx, a.ID); ok {
			work.Go(func() {
				defer r.archives.end(a.ID)
				r.workOn(of, a.ID)
			})
		}
	}
	return max(wait, 20*time.Millisecond), nil
}

// An unpacking is the work on one archive.
type unpacking struct {
	r        *Registry
	a        archiveRow
	who      iam.Caller
	claim    string
	progress atomic.Int64
	stored   []archive.Stored // by the plan's blobs
	packed   []bool           // likewise: it was compressed here
}

// workOn claims an archive, unpacks it, and writes down what came of it.
func (r *Registry) workOn(ctx context.Context, id string) {
	u, err := r.claimArchive(ctx, id)
	if err != nil || u == nil {
		if err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "an archive was not claimed; it is tried again", "archive", id, "err", err)
		}
		return
	}
	ctx = iam.WithRequest(ctx, u.a.Request)
	ctx, stop := context.WithCancelCause(ctx)
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		u.beat(ctx, stop)
	}()
	if u.a.Attempts > unpackClaims {
		err = fmt.Errorf("registry: an archive outlived %d processes that unpacked it", unpackClaims)
	} else if u.who, err = iam.Resume(u.a.Caller); err == nil {
		err = u.guarded(ctx)
	}
	cause := context.Cause(ctx)
	stop(nil)
	<-beats
	if err == nil || errors.Is(err, errClaimLost) || errors.Is(cause, errClaimLost) {
		return
	}
	if err := u.failed(context.WithoutCancel(ctx), err, cause != nil); err != nil {
		r.log.WarnContext(ctx, "the failure of an archive was not written down; it is unpacked again", "archive", id, "err", err)
	}
}

// guarded turns a panic over an archive into its failure.
func (u *unpacking) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("registry: panic over an archive: %v", p)
		}
	}()
	return u.unpack(ctx)
}

// claimArchive makes an archive this process's for a while; nil: it is not due.
func (r *Registry) claimArchive(ctx context.Context, id string) (*unpacking, error) {
	claim := newNonce()
	a, err := db.Update(ctx, r.db, func(tx *db.Tx) (archiveRow, error) {
		n, err := tx.Exec(`UPDATE archive SET claim = $2, due = $3, attempts = attempts + 1, progress = 0 WHERE id = $1 AND state = 'unpacking' AND due <= $4`,
			id, claim, tx.Micros()+unpackClaim.Microseconds(), tx.Micros())
		if err != nil || n == 0 {
			return archiveRow{}, err
		}
		return db.One[archiveRow](tx.Context(), tx, selectArchive+` WHERE a.id = $1`, id)
	})
	if err != nil || a.ID == "" {
		return nil, err
	}
	return &unpacking{r: r, a: a, claim: claim}, nil
}

// beat says now and then that the work goes on, and ends it where it is not
// ours any more.
func (u *unpacking) beat(ctx context.Context, stop context.CancelCauseFunc) {
	t := time.NewTicker(unpackBeat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		n, err := db.Update(ctx, u.r.db, func(tx *db.Tx) (int64, error) {
			return tx.Exec(`UPDATE archive SET due = $3, progress = $4 WHERE id = $1 AND claim = $2 AND state = 'unpacking'`,
				u.a.ID, u.claim, tx.Micros()+unpackClaim.Microseconds(), u.progress.Load())
		})
		if err == nil && n == 0 {
			stop(errClaimLost)
		}
	}
}

// failed writes down why an archive was not unpacked. What may be better the
// next time is tried again: storage that is full or away, a process that ends.
func (u *unpacking) failed(ctx context.Context, cause error, ended bool) error {
	var f *fault.Error
	if !errors.As(cause, &f) {
		f = fault.New(fault.Internal, "")
	}
	again := ended
	switch f.Code {
	case fault.Internal, fault.Full, fault.Unavailable, fault.Timeout, fault.TooMany, fault.ReferenceUnknown, fault.UploadInvalid, fault.UploadUnknown:
		again = again || u.a.Attempts < unpackAttempts
	}
	u.r.log.WarnContext(ctx, "an archive was not unpacked", "archive", u.a.ID, "organization", u.a.Org, "request", u.a.Request, "attempt", u.a.Attempts, "again", again, "err", cause)
	return u.r.update(ctx, func(tx *db.Tx) error {
		if again {
			due, attempts := tx.Micros()+(unpackPause<<min(u.a.Attempts-1, 8)).Microseconds(), u.a.Attempts
			if ended { // the process: that is not the archive's fault
				due, attempts = tx.Micros(), attempts-1
			}
			_, err := tx.Exec(`UPDATE archive SET claim = '', due = $3, attempts = $4 WHERE id = $1 AND claim = $2 AND state = 'unpacking'`, u.a.ID, u.claim, due, attempts)
			return err
		}
		var defect archive.Defect
		switch d := f.Detail.(type) {
		case archive.Defect:
			defect = d
		case string: // which quota
			defect = archive.Defect(d)
		}
		n, err := tx.Exec(`UPDATE archive SET state = 'failed', claim = '', code = $3, defect = $4, message = $5, updated = $6, expires = $7
			WHERE id = $1 AND claim = $2 AND state = 'unpacking'`,
			u.a.ID, u.claim, string(f.Code), string(defect), f.Msg, tx.Micros(), tx.Micros()+u.r.o.UploadLife.Microseconds())
		if err != nil || n == 0 {
			return err
		}
		tx.AfterCommit(u.r.wakeCollector)
		return dropUpload(tx, u.a.ID)
	})
}

// done writes down what became of an archive, in the transaction that made it.
func (u *unpacking) done(tx *db.Tx, images []ArchiveImage) error {
	b, err := json.Marshal(images)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE archive SET state = 'done', claim = '', progress = $3, images = $4, updated = $5, expires = $6
		WHERE id = $1 AND claim = $2 AND state = 'unpacking'`,
		u.a.ID, u.claim, u.progress.Load(), b, tx.Micros(), tx.Micros()+u.r.o.UploadLife.Microseconds())
	if err == nil && n == 0 {
		err = errClaimLost
	}
	if err != nil {
		return err
	}
	tx.AfterCommit(u.r.wakeCollector)
	return dropUpload(tx, u.a.ID)
}
