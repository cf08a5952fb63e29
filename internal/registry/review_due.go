package registry

import (
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/oci"
)

// reviewOne does one review. First it locks what the review is about, then the
// note itself, as pushes do; a note that has gone or moved meanwhile is left.
func (r *Registry) reviewOne(tx *db.Tx, v reviewRow, s *CollectorStats) error {
	if err := lockReviewed(tx, v); err != nil {
		return err
	}
	due, err := db.One[int64](tx.Context(), tx, `SELECT due FROM review WHERE repository = $1 AND digest = $2 AND kind = $3`+tx.ForUpdate(),
		v.Repository, v.Digest, v.Kind)
	if errors.Is(err, db.ErrNone) || err == nil && due > tx.Micros() {
		return nil
	}
	if err != nil {
		return err
	}
	s.Reviews++
	var again time.Duration
	switch v.Kind {
	case kindBlob:
		err = r.reviewBlob(tx, v, s)
	case kindManifest:
		again, err = r.reviewManifest(tx, v, s)
	case kindRepo:
		again, err = r.emptyRepo(tx, v, s)
	}
	if err != nil {
		return err
	}
	if again > 0 {
		_, err = tx.Exec(`UPDATE review SET due = $4 WHERE repository = $1 AND digest = $2 AND kind = $3`,
			v.Repository, v.Digest, v.Kind, tx.Micros()+again.Microseconds())
	} else {
		_, err = tx.Exec(`DELETE FROM review WHERE repository = $1 AND digest = $2 AND kind = $3`, v.Repository, v.Digest, v.Kind)
	}
	return err
}

// lockReviewed locks the rows that a review is about, in a statement of its
// own: a reference that was added before the lock was granted is seen by the
// next one.
func lockReviewed(tx *db.Tx, v reviewRow) error {
	lock := tx.ForUpdate()
	if lock == "" {
		return nil
	}
	var queries []string
	switch v.Kind {
	case kindBlob:
		// The blob first, as those who push do; its link need not be there.
		queries = []string{`SELECT 1 FROM blob WHERE digest = $2 AND $1::bigint <> 0`, `SELECT 1 FROM link WHERE repository = $1 AND digest = $2`}
	case kindManifest:
		queries = []string{`SELECT 1 FROM manifest WHERE repository = $1 AND digest = $2`}
	}
	for _, q := range queries {
		if _, err := exists(tx, q+lock, v.Repository, v.Digest); err != nil {
			return err
		}
	}
	return nil
}

// exists runs a query that returns one number where there is something.
func exists(tx *db.Tx, query string, args ...any) (bool, error) {
	_, err := db.One[int64](tx.Context(), tx, query, args...)
	if errors.Is(err, db.ErrNone) {
		return false, nil
	}
	return err == nil, err
}

// reviewBlob removes the link of a blob that no manifest of the repository
// needs.
func (r *Registry) reviewBlob(tx *db.Tx, v reviewRow, s *CollectorStats) error {
	needed, err := exists(tx, `SELECT 1 FROM ref WHERE repository = $1 AND child = $2 AND kind = 'b' LIMIT 1`, v.Repository, v.Digest)
	if err != nil || needed {
		return err
	}
	return removeLink(tx, v.Repository, oci.Digest(v.Digest), s)
}

// removeLink removes a link, and with a digest's last link the blob. The
// blob's row is locked.
func removeLink(tx *db.Tx, repo int64, d oci.Digest, s *CollectorStats) error {
	n, err := tx.Exec(`DELETE FROM link WHERE repository = $1 AND digest = $2`, repo, string(d))
	if err != nil || n == 0 {
		return err
	}
	tx.Invalidate(blobKey{repo, d})
	linked, err := exists(tx, `SELECT 1 FROM link WHERE digest = $1 LIMIT 1`, string(d))
	if err != nil || linked {
		return err
	}
	key, err := db.One[string](tx.Context(), tx, `DELETE FROM blob WHERE digest = $1 RETURNING key`, string(d))
	if errors.Is(err, db.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Blobs++
	if key == "" {
		return nil
	}
	return addGarbage(tx, key)
}

// reviewManifest removes a manifest that was deleted long enough ago, or that
// nothing names any more. It returns when to look again, 0 for never.
func (r *Registry) reviewManifest(tx *db.Tx, v reviewRow, s *CollectorStats) (time.Duration, error) {
	type row struct {
		ID       int64
		Deleted  *int64
		Subject  string
		Undelete *int64
	}
	m, err := db.One[row](tx.Context(), tx, `SELECT m.id, m.deleted, m.subject, a.undelete FROM manifest m JOIN repository r ON r.id = m.repository
		JOIN account a ON a.id = r.account WHERE m.repository = $1 AND m.digest = $2`, v.Repository, v.Digest)
	if errors.Is(err, db.ErrNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	window := r.window(m.Undelete)
	if m.Deleted != nil {
		if left := *m.Deleted + window.Microseconds() - tx.Micros(); left > 0 {
			return time.Duration(left) * time.Microsecond, nil
		}
	}
	needed, err := exists(tx, `SELECT 1 FROM tag WHERE manifest = $1 LIMIT 1`, m.ID)
	if err != nil || needed {
		return 0, err
	}
	if needed, err = exists(tx, `SELECT 1 FROM ref WHERE repository = $1 AND child = $2 AND kind = 'm' LIMIT 1`, v.Repository, v.Digest); err != nil || needed {
		return 0, err
	}
	if m.Deleted == nil && m.Subject != "" {
		// Another node may be removing it, and has seen that this note is there.
		if needed, err = exists(tx, `SELECT 1 FROM manifest WHERE repository = $1 AND digest = $2`+tx.ForShare(), v.Repository, m.Subject); err != nil || needed {
			return 0, err
		}
	}
	// Whoever takes a tag away says so in the same transaction: after no tag
	// was found, what tags are promised is.
	if m.Deleted == nil || *m.Deleted != apart {
		if left, err := r.promised(tx, v.Repository, v.Digest, window); err != nil || left > 0 {
			return left, err
		}
	}
	done, err := r.removeManifest(tx, v.Repository, m.ID, v.Digest, m.Subject, s)
	if err != nil || done {
		return 0, err
	}
	return time.Microsecond, nil
}

// apart stands for the time of the deletion in a manifest that is being taken
// apart and can not come back.
const apart = 0

// maxSettle bounds the time between a manifest's end and that of its blobs.
const maxSettle = 5 * time.Minute

// removeManifest removes a manifest for good and queues reviews of what it
// kept: its blobs, its children, and the referrers it was the subject of. They
// are due a little later, so that a push which has just been told that a blob
// is there can still name it. A manifest that names a lot is taken apart in
// steps; false: it is not done yet.
func (r *Registry) removeManifest(tx *db.Tx, repo, id int64, d, subject string, s *CollectorStats) (bool, error) {
	const queue = ` ON CONFLICT (repository, digest, kind) DO UPDATE SET due = excluded.due WHERE review.due < excluded.due`
	now := tx.Micros()
	due := now + min(r.o.Grace/10, maxSettle).Microseconds()
	type note struct{ Digest, Kind string }
	notes, err := db.All[note](tx.Context(), tx, `INSERT INTO review (repository, digest, kind, created, due)
		SELECT repository, child, kind, $2, $3 FROM ref WHERE manifest = $1 AND kind <> 's' ORDER BY child, kind LIMIT $4`+queue+` RETURNING digest, kind`, id, now, due, refsPerReview)
	if err != nil {
		return false, err
	}
	for _, v := range notes {
		if v.Kind == kindBlob {
			tx.Invalidate(blobKey{repo, oci.Digest(v.Digest)}) // who asks for it may have to hold it
		}
	}
	n, err := db.One[int64](tx.Context(), tx, `SELECT count(*) FROM (SELECT 1 FROM ref WHERE manifest = $1 AND kind <> 's' LIMIT $2) q`, id, refsPerReview+1)
	if err != nil {
		return false, err
	}
	s.rows += int64(len(notes))
	if n > refsPerReview {
		// From here on it answers as deleted: parts of it are no longer held.
		if _, err := tx.Exec(`UPDATE manifest SET deleted = $2 WHERE id = $1`, id, apart); err != nil {
			return false, err
		}
		tx.Invalidate(manifestKey{repo, d})
		_, err := tx.Exec(`DELETE FROM ref WHERE manifest = $1 AND (child, kind) IN
			(SELECT child, kind FROM ref WHERE manifest = $1 AND kind <> 's' ORDER BY child, kind LIMIT $2)`, id, refsPerReview)
		return false, err
	}
	deleted, err := tx.Exec(`DELETE FROM deleted_tag WHERE repository = $1 AND digest = $2 AND name IN
		(SELECT name FROM deleted_tag WHERE repository = $1 AND digest = $2 LIMIT $3)`, repo, d, refsPerReview)
	if err != nil {
		return false, err
	}
	if s.rows += deleted; deleted == refsPerReview {
		return false, nil
	}
	referrers, err := tx.Exec(`INSERT INTO review (repository, digest, kind, created, due)
		SELECT m.repository, m.digest, 'm', $3, $4 FROM manifest m WHERE m.repository = $1 AND m.subject = $2 AND m.subject <> ''
			AND NOT EXISTS (SELECT 1 FROM review v WHERE v.repository = m.repository AND v.digest = m.digest AND v.kind = 'm')
		ORDER BY m.digest LIMIT $5`+queue, repo, d, now, due, refsPerReview)
	if err != nil {
		return false, err
	}
	s.rows += referrers
	if referrers == refsPerReview {
		return false, nil
	}
	if _, err := tx.Exec(`DELETE FROM manifest WHERE id = $1`, id); err != nil {
		return false, err
	}
	tx.Invalidate(manifestKey{repo, d})
	if subject != "" {
		tx.Invalidate(referrersKey{repo, oci.Digest(subject)})
	}
	s.Manifests++
	return true, nil
}

// emptyRepo takes a deleted repository apart, some rows at a time.
func (r *Registry) emptyRepo(tx *db.Tx, v reviewRow, s *CollectorStats) (time.Duration, error) {
	const again = time.Microsecond
	type row struct {
		ID              int64
		Digest, Subject string
	}
	manifests, err := db.All[row](tx.Context(), tx, `SELECT id, digest, subject FROM manifest WHERE repository = $1 LIMIT $2`, v.Repository, reviewsPerBatch)
	if err != nil {
		return 0, err
	}
	for _, m := range manifests {
		if s.rows > refsPerReview {
			break
		}
		if _, err := r.removeManifest(tx, v.Repository, m.ID, m.Digest, m.Subject, s); err != nil {
			return 0, err
		}
	}
	if len(manifests) > 0 {
		return again, nil
	}
	links, err := db.All[string](tx.Context(), tx, `SELECT b.digest FROM blob b JOIN link l ON l.digest = b.digest WHERE l.repository = $1
		ORDER BY b.digest LIMIT $2`+tx.ForUpdate(), v.Repository, reviewsPerBatch)
	if err != nil {
		return 0, err
	}
	for _, d := range links {
		if err := removeLink(tx, v.Repository, oci.Digest(d), s); err != nil {
			return 0, err
		}
	}
	if len(links) > 0 {
		return again, nil
	}
	notes, err := tx.Exec(`DELETE FROM review WHERE repository = $1 AND kind <> $2 AND digest IN
		(SELECT digest FROM review WHERE repository = $1 AND kind <> $2 LIMIT $3)`, v.Repository, kindRepo, refsPerReview)
	if err != nil {
		return 0, err
	}
	if notes >= refsPerReview {
		return again, nil
	}
	if n, err := dropHistories(tx, v.Repository); err != nil || n > 0 {
		return again, err
	}
	_, err = tx.Exec(`DELETE FROM repository WHERE id = $1 AND organization = 0`, v.Repository)
	return 0, err
}
