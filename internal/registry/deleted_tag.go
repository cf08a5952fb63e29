package registry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A DeletedTag is a tag that was deleted or moved, with the image that it had
// and that can come back.
type DeletedTag struct {
	Tag     string
	Digest  oci.Digest
	Actor   string
	Cause   string // as of the event that took it away
	Deleted time.Time
	Until   time.Time  // it can be restored before
	Now     oci.Digest // what the tag points to now; empty: it is not there
}

// DeletedQuery asks for deleted tags of a repository.
type DeletedQuery struct {
	Contains string // a part of their names, case does not count
	After    string // marker of an earlier page; empty: from the newest on
}

// undelete is the window of a repository: how long what is taken away in it
// can come back.
func (r *Registry) undelete(rp repoRow) time.Duration { return r.window(rp.Undelete) }

// addDeleted notes what a tag does not point to any more. Until the end of the
// window it can come back, and the manifest stays for that long.
func (r *Registry) addDeleted(tx *db.Tx, rp repoRow, tag, digest string, who iam.Caller, cause string) error {
	_, err := tx.Exec(`INSERT INTO deleted_tag (repository, name, digest, actor, cause, removed, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (repository, name, digest) DO UPDATE SET actor = excluded.actor, cause = excluded.cause, removed = excluded.removed,
			expires = CASE WHEN deleted_tag.expires > excluded.expires THEN deleted_tag.expires ELSE excluded.expires END`,
		rp.ID, tag, digest, who.String(), cause, tx.Micros(), tx.Micros()+r.undelete(rp).Microseconds())
	return err
}

// dropDeleted forgets that a tag once had an image: it has it again. A manifest
// that the transaction stored was never lost.
func dropDeleted(tx *db.Tx, rp repoRow, tag string, manifest int64, d oci.Digest, moves *tagMoves) error {
	if moves.made == manifest {
		return nil
	}
	_, err := tx.Exec(`DELETE FROM deleted_tag WHERE repository = $1 AND name = $2 AND digest = $3`, rp.ID, tag, string(d))
	return err
}

// until is when a row of deleted_tag ends, where $n is the window as it is now.
func until(n int) string {
	later := `d.removed + $` + strconv.Itoa(n)
	return `CASE WHEN d.expires > ` + later + ` THEN d.expires ELSE ` + later + ` END`
}

// DeletedTags lists at most n of the deleted and the moved tags that can come
// back, the latest first, and returns the marker of the next page ("": there
// is none). Errors: PageInvalid, RepoUnknown, Denied, Unauthorized.
func (r *Registry) DeletedTags(ctx context.Context, who iam.Caller, name oci.Name, q DeletedQuery, n int) ([]DeletedTag, string, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return nil, "", err
	}
	if len(q.Contains) > oci.MaxTag {
		return nil, "", nil // in no name
	}
	n = min(max(n, 1), maxTagsAfter)
	window, now := r.undelete(rp).Microseconds(), time.Now().UnixMicro()
	args := []any{rp.ID, window, now, now - window, n + 1}
	query := `SELECT d.name, d.digest, d.actor, d.cause, d.removed, ` + until(2) + `, coalesce(c.digest, '')
		FROM deleted_tag d LEFT JOIN tag t ON t.repository = d.repository AND t.name = d.name LEFT JOIN manifest c ON c.id = t.manifest
		WHERE d.repository = $1 AND (d.expires > $3 OR d.removed > $4)`
	if q.Contains != "" {
		args = append(args, likePattern(q.Contains))
		query += ` AND lower(d.name) LIKE $6 ESCAPE '\'`
	}
	if q.After != "" {
		removed, tag, digest, err := parseDeletedMarker(q.After)
		if err != nil {
			return nil, "", err
		}
		at := len(args)
		args = append(args, removed, tag, digest)
		query += ` AND (d.removed, d.name, d.digest) < (` + placeholders(at+1, 3) + `)`
	}
	type row struct {
		Name, Digest, Actor, Cause string
		Removed, Until             int64
		Now                        string
	}
	rows, err := db.All[row](ctx, r.db, query+` ORDER BY d.removed DESC, d.name DESC, d.digest DESC LIMIT $5`, args...)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > n {
		rows = rows[:n]
		last := rows[n-1]
		next = strconv.FormatInt(last.Removed, 10) + "/" + last.Name + "/" + last.Digest
	}
	list := make([]DeletedTag, len(rows))
	for i, v := range rows {
		list[i] = DeletedTag{v.Name, oci.Digest(v.Digest), v.Actor, v.Cause, fromMicros(v.Removed), fromMicros(v.Until), oci.Digest(v.Now)}
	}
	return list, next, nil
}

func parseDeletedMarker(s string) (removed int64, tag, digest string, err error) {
	at, rest, ok := strings.Cut(s, "/")
	tag, digest, ok2 := strings.Cut(rest, "/")
	if removed, err = strconv.ParseInt(at, 10, 64); err != nil || !ok || !ok2 || len(s) > maxMarker {
		return 0, "", "", fault.New(fault.PageInvalid, "The marker is none that this list gave out.")
	}
	return removed, tag, digest, nil
}

const maxMarker = 500

// promised returns for how long a manifest that nothing names is still kept
// for tags that it once had. A window that was made longer since counts.
func (r *Registry) promised(tx *db.Tx, repo int64, digest string, window time.Duration) (time.Duration, error) {
	end, err := db.One[*int64](tx.Context(), tx, `SELECT max(`+until(3)+`) FROM deleted_tag d WHERE d.repository = $1 AND d.digest = $2`, repo, digest, window.Microseconds())
	if err != nil || end == nil {
		return 0, err
	}
	return time.Duration(*end-tx.Micros()) * time.Microsecond, nil
}

// expireDeleted forgets deleted tags whose window is over. One whose account
// has a longer window by now gets the rest of that.
func (r *Registry) expireDeleted(ctx context.Context) (bool, error) {
	// Without any there is nothing to write.
	if _, err := db.One[int64](ctx, r.db, `SELECT expires FROM deleted_tag WHERE expires <= $1 LIMIT 1`, time.Now().UnixMicro()); err != nil {
		return false, ignoreNone(err)
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (bool, error) {
		type row struct {
			Repository   int64
			Name, Digest string
			Removed      int64
			Undelete     *int64
		}
		lock := tx.ForUpdate()
		if lock != "" {
			lock += " OF d" + tx.SkipLocked()
		}
		rows, err := db.All[row](tx.Context(), tx, `SELECT d.repository, d.name, d.digest, d.removed,
				(SELECT a.undelete FROM repository r JOIN account a ON a.id = r.account WHERE r.id = d.repository)
			FROM deleted_tag d WHERE d.expires <= $1 ORDER BY d.expires LIMIT $2`+lock, tx.Micros(), rowsPerBatch)
		if err != nil {
			return false, err
		}
		for _, d := range rows {
			const where = ` WHERE repository = $1 AND name = $2 AND digest = $3`
			if end := d.Removed + r.window(d.Undelete).Microseconds(); end > tx.Micros() {
				_, err = tx.Exec(`UPDATE deleted_tag SET expires = $4`+where, d.Repository, d.Name, d.Digest, end)
			} else {
				_, err = tx.Exec(`DELETE FROM deleted_tag`+where, d.Repository, d.Name, d.Digest)
			}
			if err != nil {
				return false, err
			}
		}
		return len(rows) == rowsPerBatch, nil
	})
}
