package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A Finding is one damage that Fsck found.
type Finding struct {
	Check   string `json:"check"`   // which invariant does not hold
	Subject string `json:"subject"` // the row or key it does not hold for
	Detail  string `json:"detail"`
}

// FsckSummary counts what Fsck looked at.
type FsckSummary struct {
	Repositories int64 `json:"repositories"`
	Manifests    int64 `json:"manifests"`
	Tags         int64 `json:"tags"`
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"` // read, with deep
	Keys         int64 `json:"keys"`  // in storage
	Findings     int64 `json:"findings"`
}

// A rowCheck is an invariant over rows: the query returns a line for each
// violation, in pages ordered by a key.
type rowCheck struct {
	name, detail, query string
}

// rowChecks: $1 is the page's size. What a query finds is damage, so one page
// of each is enough. A deleted repository, whose organization is 0, is emptied
// in any order: what is left in it need not hold together.
var rowChecks = []rowCheck{
	{"tag", "points to a manifest that is not there or deleted", `SELECT r.path || ':' || t.name FROM tag t JOIN repository r ON r.id = t.repository
		LEFT JOIN manifest m ON m.id = t.manifest AND m.repository = t.repository AND m.deleted IS NULL WHERE m.id IS NULL LIMIT $1`},
	{"reference", "a manifest names a blob that its repository does not link", `SELECT r.path || '@' || m.digest || ' -> ' || f.child FROM ref f
		JOIN manifest m ON m.id = f.manifest JOIN repository r ON r.id = m.repository
		LEFT JOIN link l ON l.repository = f.repository AND l.digest = f.child
		WHERE f.kind = 'b' AND (l.digest IS NULL OR (l.deleted IS NOT NULL AND m.deleted IS NULL)) LIMIT $1`},
	{"reference", "an index names a manifest that its repository does not have", `SELECT r.path || '@' || m.digest || ' -> ' || f.child FROM ref f
		JOIN manifest m ON m.id = f.manifest JOIN repository r ON r.id = m.repository
		LEFT JOIN manifest c ON c.repository = f.repository AND c.digest = f.child WHERE f.kind = 'm' AND c.id IS NULL AND r.organization <> 0 LIMIT $1`},
	{"body", "a manifest has no body", `SELECT r.path || '@' || m.digest FROM manifest m JOIN repository r ON r.id = m.repository
		LEFT JOIN manifest_body b ON b.manifest = m.id WHERE b.manifest IS NULL LIMIT $1`},
	{"link", "a repository links a blob that is not there", `SELECT r.path || ' ' || l.digest FROM link l JOIN repository r ON r.id = l.repository
		LEFT JOIN blob b ON b.digest = l.digest WHERE b.digest IS NULL LIMIT $1`},
	{"blob", "no repository links it, and nothing would ever remove it", `SELECT b.digest FROM blob b LEFT JOIN link l ON l.digest = b.digest
		WHERE l.digest IS NULL LIMIT $1`},
	{"blob", "is to be in the database and is not", `SELECT b.digest FROM blob b LEFT JOIN content c ON c.digest = b.digest
		WHERE b.key = '' AND c.digest IS NULL LIMIT $1`},
	{"blob", "its key is garbage at the same time", `SELECT b.digest FROM blob b JOIN garbage g ON g.key = b.key LIMIT $1`},
	{"link", "no manifest needs it and no review is queued that would remove it", `SELECT r.path || ' ' || l.digest FROM link l
		JOIN repository r ON r.id = l.repository
		LEFT JOIN ref f ON f.repository = l.repository AND f.child = l.digest AND f.kind = 'b'
		LEFT JOIN review v ON v.repository = l.repository AND v.digest = l.digest AND v.kind = 'b'
		LEFT JOIN review w ON w.repository = l.repository AND w.kind = 'r'
		WHERE f.child IS NULL AND v.digest IS NULL AND w.kind IS NULL LIMIT $1`},
	{"archive", "is to be unpacked and its bytes are gone", `SELECT a.id FROM archive a LEFT JOIN upload u ON u.id = a.id
		WHERE a.state = 'unpacking' AND u.id IS NULL LIMIT $1`},
	{"upload", "holds an archive that is not to be unpacked, and nothing would ever remove it", `SELECT u.id FROM upload u
		LEFT JOIN archive a ON a.id = u.id AND a.state = 'unpacking' WHERE u.state = 'held' AND a.id IS NULL LIMIT $1`},
	{"repository", "is in an organization that does not exist", `SELECT r.path FROM repository r LEFT JOIN organization o ON o.id = r.organization
		WHERE r.organization <> 0 AND o.id IS NULL LIMIT $1`},
	{"deleted", "a tag could be restored to a manifest that is not there", `SELECT r.path || ':' || d.name || ' -> ' || d.digest FROM deleted_tag d
		JOIN repository r ON r.id = d.repository LEFT JOIN manifest m ON m.repository = d.repository AND m.digest = d.digest WHERE m.id IS NULL LIMIT $1`},
	{"deleted", "a tag could be restored to what it points to", `SELECT r.path || ':' || d.name FROM deleted_tag d JOIN repository r ON r.id = d.repository
		JOIN tag t ON t.repository = d.repository AND t.name = d.name JOIN manifest m ON m.id = t.manifest WHERE m.digest = d.digest LIMIT $1`},
	{"share", "a repository has another number of sharing rules than its row says", `SELECT r.path FROM repository r
		WHERE r.shares <> (SELECT count(*) FROM share s WHERE s.repository = r.id) LIMIT $1`},
	{"rule", "belongs to a repository that was deleted", `SELECT r.path FROM repository r WHERE r.organization = 0 AND r.id IN
		(SELECT repository FROM repo_trigger UNION SELECT repository FROM repo_retention UNION SELECT repository FROM repo_sync) LIMIT $1`},
	{"repository", "was deleted and no review is queued that would empty it", `SELECT r.path FROM repository r
		LEFT JOIN review v ON v.repository = r.id AND v.kind = 'r' WHERE r.organization = 0 AND v.kind IS NULL LIMIT $1`},
	{"chart", "is in another place than its index says", `SELECT r.path || ':' || t.name FROM tag t JOIN repository r ON r.id = t.repository AND r.chart
		LEFT JOIN chart_tag c ON c.repository = t.repository AND c.tag = t.name AND c.organization = r.organization AND c.manifest = t.manifest
		WHERE c.tag IS NULL LIMIT $1`},
	{"chart", "the index has a tag that is not there", `SELECT CAST(c.repository AS TEXT) || ':' || c.tag FROM chart_tag c
		LEFT JOIN tag t ON t.repository = c.repository AND t.name = c.tag WHERE c.manifest <> 0 AND t.id IS NULL LIMIT $1`},
	{"sum", "the repository has another number of tags than is kept of it", `SELECT r.path FROM repository r
		WHERE r.tags <> (SELECT count(*) FROM tag t WHERE t.repository = r.id) LIMIT $1`},
	{"sum", "the manifests that have tags have another size than is kept of the repository", `SELECT r.path FROM repository r
		WHERE r.size <> (SELECT coalesce(sum(m.content_size), 0) FROM manifest m
			WHERE m.repository = r.id AND EXISTS (SELECT 1 FROM tag t WHERE t.manifest = m.id)) LIMIT $1`},
	{"sum", "an index has another size than its children", `SELECT r.path || '@' || m.digest FROM manifest m JOIN repository r ON r.id = m.repository
		JOIN (SELECT f.manifest AS id, sum(c.content_size) AS size FROM ref f JOIN manifest c ON c.repository = f.repository AND c.digest = f.child
			WHERE f.kind = 'm' GROUP BY f.manifest) q ON q.id = m.id
		WHERE r.organization <> 0 AND m.deleted IS NULL AND m.content_size <> q.size AND NOT (m.content_size = ` + strconv.Itoa(maxContent) + ` AND q.size > m.content_size) LIMIT $1`},
	{"sum", "there is another number of these repositories than is kept", `SELECT account || ' ' || CAST(organization AS TEXT) || ' ' || category FROM (
			SELECT account, organization, category, public, n FROM repository_count
			UNION ALL SELECT account, organization, category, public, -1 FROM repository WHERE organization <> 0
			UNION ALL SELECT account, 0, category, public, -1 FROM repository WHERE organization <> 0) q
		GROUP BY account, organization, category, public HAVING sum(n) <> 0 ORDER BY 1 LIMIT $1`},
	{"sum", "the account has other organizations, repositories or images than is kept of it", `SELECT account FROM (
			SELECT account, orgs, repos, images, stored FROM usage WHERE day = 0
			UNION ALL SELECT account, -1, 0, 0, 0 FROM organization WHERE kind = ''
			UNION ALL SELECT account, 0, -1, -tags, -size FROM repository WHERE organization <> 0) q
		GROUP BY account HAVING sum(orgs) <> 0 OR sum(repos) <> 0 OR sum(images) <> 0 OR sum(stored) <> 0 ORDER BY 1 LIMIT $1`},
}

const fsckPage = 1000

// Fsck proves that what is stored holds together: every reference resolves,
// every blob has its bytes, and nothing in storage is unaccounted for. With
// deep it reads all bytes and compares their digests. It reports each damage
// and changes nothing; pushes may go on. Only Berth and its operator may.
func (r *Registry) Fsck(ctx context.Context, who iam.Caller, deep bool, report func(Finding)) (FsckSummary, error) {
	var s FsckSummary
	if !who.System() {
		return s, fault.New(fault.Denied, "Only the operator of this installation may check its storage.")
	}
	f := &fsck{r: r, deep: deep, summary: &s, report: func(x Finding) {
		s.Findings++
		report(x)
	}}
	for _, step := range []func(context.Context) error{f.rows, f.blobs, f.manifests, f.keys, f.counts} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

type fsck struct {
	r       *Registry
	deep    bool
	summary *FsckSummary
	report  func(Finding)
}

func (f *fsck) rows(ctx context.Context) error {
	for _, c := range rowChecks {
		subjects, err := db.All[string](ctx, f.r.db, c.query, fsckPage)
		if err != nil {
			return fmt.Errorf("check %s (%s): %w", c.name, c.detail, err)
		}
		for _, s := range subjects {
			f.report(Finding{Check: c.name, Subject: s, Detail: c.detail})
		}
	}
	return nil
}

// blobs compares every blob's row with its bytes.
func (f *fsck) blobs(ctx context.Context) error {
	type row struct {
		Digest, Key string
		Size        int64
		Inline      *int64
	}
	for after := ""; ; {
		rows, err := db.All[row](ctx, f.r.db, `SELECT b.digest, b.key, b.size, length(c.data) FROM blob b LEFT JOIN content c ON c.digest = b.digest
			WHERE b.digest > $1 ORDER BY b.digest LIMIT $2`, after, fsckPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, b := range rows {
			size := b.Inline
			if b.Key != "" {
				info, err := f.r.blobs.Stat(ctx, b.Key)
				if err == nil {
					size = &info.Size
				}
			}
			detail := ""
			switch {
			case size == nil:
				detail = "its bytes are missing, key " + b.Key
			case *size != b.Size:
				detail = fmt.Sprintf("it has %d bytes and should have %d, key %s", *size, b.Size, b.Key)
			case f.deep:
				if detail, err = f.rehash(ctx, oci.Digest(b.Digest), b.Key); err != nil {
					return err
				}
			}
			if detail != "" && f.still(ctx, b.Digest, b.Key) {
				f.report(Finding{Check: "blob", Subject: b.Digest, Detail: detail})
			}
		}
		after = rows[len(rows)-1].Digest
	}
}

// still tells whether the blob is there after all: it may have been collected
// since its row was read.
func (f *fsck) still(ctx context.Context, digest, key string) bool {
	_, err := db.One[string](ctx, f.r.db, `SELECT key FROM blob WHERE digest = $1 AND key = $2`, digest, key)
	return err == nil
}

func (f *fsck) rehash(ctx context.Context, d oci.Digest, key string) (string, error) {
	var src io.ReadCloser
	if key == "" {
		data, err := db.One[[]byte](ctx, f.r.db, `SELECT data FROM content WHERE digest = $1`, string(d))
		if err != nil {
			return "its bytes cannot be read", ignoreNone(err)
		}
		src = io.NopCloser(bytes.NewReader(data))
	} else {
		var err error
		if src, err = f.r.blobs.Open(ctx, key, 0, -1); err != nil {
			return "its bytes cannot be read, key " + key, nil
		}
	}
	defer src.Close()
	h := d.Algorithm().New()
	n, err := io.Copy(h, src)
	f.summary.Bytes += n
	if err != nil {
		return fmt.Sprintf("reading stops after %d bytes, key %s", n, key), ctx.Err()
	}
	if got := d.Algorithm().FromSum(h.Sum(nil)); got != d {
		return fmt.Sprintf("its bytes have the digest %s, key %s", got, key), nil
	}
	return "", nil
}

// manifests hashes every manifest's body, which are small.
func (f *fsck) manifests(ctx context.Context) error {
	type row struct {
		ID     int64
		Digest string
		Size   int64
		Body   []byte
	}
	for after := int64(0); ; {
		rows, err := db.All[row](ctx, f.r.db, `SELECT m.id, m.digest, m.size, b.data FROM manifest m JOIN manifest_body b ON b.manifest = m.id
			WHERE m.id > $1 ORDER BY m.id LIMIT $2`, after, 50)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, m := range rows {
			d := oci.Digest(m.Digest)
			if got := d.Algorithm().FromBytes(m.Body); got != d || int64(len(m.Body)) != m.Size {
				f.report(Finding{Check: "body", Subject: m.Digest, Detail: fmt.Sprintf("the manifest's body has the digest %s and %d bytes", got, len(m.Body))})
			}
		}
		after = rows[len(rows)-1].ID
	}
}

// keys looks whether a row names every key in storage.
func (f *fsck) keys(ctx context.Context) error {
	var page []blob.Info
	flush := func() error {
		if len(page) == 0 {
			return nil
		}
		args := make([]any, len(page))
		for i, k := range page {
			args[i] = k.Key
		}
		in := placeholders(1, len(args))
		named, err := db.All[string](ctx, f.r.db, `SELECT key FROM blob WHERE key IN (`+in+`) UNION SELECT key FROM upload WHERE key IN (`+in+`)
			UNION SELECT key FROM garbage WHERE key IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		known := map[string]bool{}
		for _, k := range named {
			known[k] = true
		}
		for _, k := range page {
			if known[k.Key] {
				continue
			}
			if _, err := f.r.blobs.Stat(ctx, k.Key); errors.Is(err, blob.ErrAbsent) {
				continue // deleted since it was listed
			}
			f.report(Finding{Check: "storage", Subject: k.Key, Detail: fmt.Sprintf("%d bytes that no row names", k.Size)})
		}
		page = page[:0]
		return nil
	}
	for info, err := range f.r.blobs.List(ctx, "") {
		if err != nil {
			return err
		}
		f.summary.Keys++
		if page = append(page, info); len(page) == chunkSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func (f *fsck) counts(ctx context.Context) error {
	for _, c := range []struct {
		n     *int64
		query string
	}{
		{&f.summary.Repositories, `SELECT count(*) FROM repository WHERE organization <> 0`},
		{&f.summary.Manifests, `SELECT count(*) FROM manifest WHERE deleted IS NULL`},
		{&f.summary.Tags, `SELECT count(*) FROM tag`},
		{&f.summary.Blobs, `SELECT count(*) FROM blob`},
	} {
		n, err := db.One[int64](ctx, f.r.db, c.query)
		if err != nil && !errors.Is(err, db.ErrNone) {
			return err
		}
		*c.n = n
	}
	return nil
}
