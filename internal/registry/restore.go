package registry

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A TagMove is what a restore or a rollback did to one tag, or would do.
type TagMove struct {
	Tag      string
	Digest   oci.Digest // what it points to afterwards; empty: it is removed
	Previous oci.Digest // what it pointed to before; empty: it was not there
	Missing  bool       // the image of Digest can not be had any more
}

// RestoreTag points a deleted or moved tag to what it pointed to: to d, or,
// with an empty d, to what it lost last. Where it points to something else now
// it is moved with override only. An image that was deleted comes back with
// its children and its subject.
//
// Errors: TagUnknown (it has nothing to come back), Exists, Quota, TooLarge,
// RepoUnknown, Denied, Unauthorized.
func (r *Registry) RestoreTag(ctx context.Context, who iam.Caller, name oci.Name, tag string, d oci.Digest, override bool) (TagMove, error) {
	return db.Update(ctx, r.db, func(tx *db.Tx) (TagMove, error) {
		rp, err := r.repoFor(tx, who, name, iam.RestoreTag)
		if err != nil {
			return TagMove{}, err
		}
		// What it lost is read first: somebody else may restore it in between.
		to, lost := r.lost(tx, rp, tag, d)
		if lost != nil && !fault.Is(lost, fault.TagUnknown) {
			return TagMove{}, lost
		}
		now, err := currentDigest(tx, rp.ID, tag)
		switch {
		case err != nil:
			return TagMove{}, err
		case now != "" && (now == d || now == to): // it is that already
			return TagMove{Tag: tag, Digest: now, Previous: now}, nil
		case lost != nil:
			return TagMove{}, lost
		}
		if now != "" && !override {
			return TagMove{}, fault.New(fault.Exists, "The repository %s has a tag %s, which points to %s; override moves it.", name, tag, now)
		}
		var moves tagMoves
		move, err := r.bringBack(tx, who, rp, iam.RestoreTag, tag, to, "restore", &moves)
		if err != nil {
			return TagMove{}, err
		}
		if !override && move.Previous != "" { // somebody has made it since
			return TagMove{}, fault.New(fault.Exists, "The repository %s has a tag %s by now; override moves it.", name, tag)
		}
		return move, r.settle(tx, rp, &moves, true)
	})
}

// currentDigest reads what a tag points to, empty for a tag that is not there.
func currentDigest(tx *db.Tx, repo int64, tag string) (oci.Digest, error) {
	d, err := db.One[string](tx.Context(), tx, `SELECT m.digest FROM tag t JOIN manifest m ON m.id = t.manifest WHERE t.repository = $1 AND t.name = $2`, repo, tag)
	return oci.Digest(d), ignoreNone(err)
}

// lost finds the image that a tag can get back, d or the last it had.
func (r *Registry) lost(tx *db.Tx, rp repoRow, tag string, d oci.Digest) (oci.Digest, error) {
	query := `SELECT d.digest FROM deleted_tag d WHERE d.repository = $1 AND d.name = $2 AND ` + until(3) + ` > $4`
	args := []any{rp.ID, tag, r.undelete(rp).Microseconds(), tx.Micros()}
	if d != "" {
		query, args = query+` AND d.digest = $5`, append(args, string(d))
	}
	// The sum keeps planners from the index of the list, which is in this order.
	to, err := db.One[string](tx.Context(), tx, query+` ORDER BY d.removed + 0 DESC LIMIT 1`, args...)
	switch {
	case errors.Is(err, db.ErrNone) && d != "":
		err = fault.New(fault.TagUnknown, "The tag %s of the repository %s has not lost %s, or too long ago.", tag, rp.Path, d)
	case errors.Is(err, db.ErrNone):
		err = fault.New(fault.TagUnknown, "The tag %s of the repository %s was not deleted or moved, or too long ago.", tag, rp.Path)
	}
	return oci.Digest(to), err
}

// bringBack points a tag to an image that it had. The caller settles moves.
func (r *Registry) bringBack(tx *db.Tx, who iam.Caller, rp repoRow, do iam.Action, tag string, d oci.Digest, cause string, moves *tagMoves) (TagMove, error) {
	// As pushes do: the repository stays, then the image, then the tag.
	if err := lockRepo(tx, rp.ID, oci.Name(rp.Path), tx.ForKeyShare()); err != nil {
		return TagMove{}, err
	}
	back := revival{r: r, tx: tx, rp: rp}
	id, err := back.bring(d)
	if errors.Is(err, db.ErrNone) {
		return TagMove{}, fault.New(fault.ManifestUnknown, "The image %s of the repository %s is not there any more.", d, rp.Path)
	}
	if err != nil {
		return TagMove{}, err
	}
	// Locked, it is what the tag pointed to before.
	old, err := currentTag(tx, rp.ID, tag)
	if err := ignoreNone(err); err != nil {
		return TagMove{}, err
	}
	moved, err := r.setTag(tx, who, rp, tag, id, d, cause, false, moves)
	if err != nil {
		return TagMove{}, err
	}
	move := TagMove{Tag: tag, Digest: d, Previous: oci.Digest(old.Digest)}
	if old.Digest == "" && moved && moves.tags == 0 {
		return TagMove{}, fault.New(fault.Unavailable, "The tag %s is being changed; try again.", tag)
	}
	return move, r.iam.Audit(tx, who, do, rp.Path+":"+tag+"@"+string(d), "ok")
}

// A Moment says to what a tag is rolled back: to an image that it had, or to
// what it was at a time. One of the two is set.
type Moment struct {
	Digest oci.Digest
	Time   time.Time
}

// RollbackTag points a tag to an image that it had earlier, which must still
// be there: it is in use elsewhere or in its undelete window.
//
// Errors: TagUnknown (it never had that, or was not there at that time),
// ManifestUnknown (the image is gone), Invalid, Quota, TooLarge, RepoUnknown,
// Denied, Unauthorized.
func (r *Registry) RollbackTag(ctx context.Context, who iam.Caller, name oci.Name, tag string, to Moment) (TagMove, error) {
	rp, err := r.lookup(ctx, who, name, iam.RollbackTag)
	if err != nil {
		return TagMove{}, err
	}
	// The past does not change: it is read before, since nothing that writes may
	// read it.
	d := to.Digest
	if d == "" {
		if err := r.checkMoment(ctx, rp, to.Time); err != nil {
			return TagMove{}, err
		}
		if d, err = r.tagAt(ctx, rp, tag, to.Time); err == nil && d == "" {
			err = fault.New(fault.TagUnknown, "The repository %s had no tag %s at that time.", name, tag)
		}
	} else {
		_, err = db.One[int64](ctx, r.db, `SELECT id FROM tag_event WHERE repository = $1 AND tag = $2 AND digest = $3 LIMIT 1`, rp.ID, tag, string(d))
		if errors.Is(err, db.ErrNone) {
			err = fault.New(fault.TagUnknown, "The tag %s of the repository %s never pointed to %s.", tag, name, d)
		}
	}
	if err != nil {
		return TagMove{}, err
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (TagMove, error) {
		now, err := r.sameRepo(tx, who, name, rp.ID, iam.RollbackTag)
		if err != nil {
			return TagMove{}, err
		}
		var moves tagMoves
		move, err := r.bringBack(tx, who, now, iam.RollbackTag, tag, d, "rollback", &moves)
		if err != nil {
			return TagMove{}, err
		}
		return move, r.settle(tx, now, &moves, true)
	})
}

// sameRepo reads a repository for a change, which must be the one whose past
// was read.
func (r *Registry) sameRepo(tx *db.Tx, who iam.Caller, name oci.Name, id int64, do iam.Action) (repoRow, error) {
	rp, err := r.repoFor(tx, who, name, do)
	if err == nil && rp.ID != id {
		err = fault.New(fault.RepoUnknown, "The repository %s was deleted at this moment.", name)
	}
	return rp, err
}

// checkMoment makes sure that a time is one in the life of the repository.
func (r *Registry) checkMoment(ctx context.Context, rp repoRow, at time.Time) error {
	created, err := db.One[int64](ctx, r.db, `SELECT created FROM repository WHERE id = $1`, rp.ID)
	switch {
	case errors.Is(err, db.ErrNone):
		return fault.New(fault.RepoUnknown, "The repository %s does not exist.", rp.Path)
	case err != nil:
		return err
	case at.After(time.Now()):
		return fault.New(fault.Invalid, "time is in the future.")
	case at.UnixMicro() < created:
		return fault.New(fault.Invalid, "time is before the repository %s was created, at %s.", rp.Path, fromMicros(created).Format(time.RFC3339))
	}
	return nil
}

// tagAt returns what a tag pointed to at a time, empty where it was not there.
func (r *Registry) tagAt(ctx context.Context, rp repoRow, tag string, at time.Time) (oci.Digest, error) {
	d, err := db.One[string](ctx, r.db, `SELECT digest FROM tag_event WHERE repository = $1 AND tag = $2 AND created <= $3 ORDER BY id DESC LIMIT 1`,
		rp.ID, tag, at.UnixMicro())
	return oci.Digest(d), ignoreNone(err)
}
