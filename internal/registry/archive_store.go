package registry

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync/atomic"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// store puts one file of an archive into the repositories that need it: as it
// is, or compressed where it is a layer without compression.
func (u *unpacking) store(ctx context.Context, src *archiveSource, b archive.Blob) (out archive.Stored, packed bool, err error) {
	home := u.name(b.Repositories[0])
	if b.Diff != "" {
		out, packed, err = u.storeLayer(ctx, src, home, b)
	} else {
		out, err = u.storeNamed(ctx, src, home, b.Entry, b.Digest)
	}
	if err != nil {
		return out, packed, err
	}
	for _, other := range b.Repositories[1:] {
		if err := u.link(ctx, u.name(other), out.Digest, home); err != nil {
			return out, packed, err
		}
	}
	return out, packed, nil
}

func (u *unpacking) name(repository string) oci.Name { return oci.Name(u.a.Org + "/" + repository) }

// find looks for a blob in the repository, or for one that can be mounted.
func (u *unpacking) find(ctx context.Context, name oci.Name, d oci.Digest) (oci.Descriptor, bool, error) {
	found, err := u.r.StatBlob(ctx, u.who, name, d)
	switch {
	case err == nil:
		return found, true, nil
	case !fault.Is(err, fault.BlobUnknown) && !fault.Is(err, fault.RepoUnknown):
		return found, false, err
	}
	return u.r.Mount(ctx, u.who, name, d, "", nil)
}

// link makes a blob that one repository has readable in another.
func (u *unpacking) link(ctx context.Context, name oci.Name, d oci.Digest, from oci.Name) error {
	if _, err := u.r.StatBlob(ctx, u.who, name, d); err == nil || !fault.Is(err, fault.BlobUnknown) && !fault.Is(err, fault.RepoUnknown) {
		return err
	}
	_, ok, err := u.r.Mount(ctx, u.who, name, d, from, nil)
	if err == nil && !ok {
		err = fault.New(fault.Unavailable, "The blob %s was removed at this moment.", d)
	}
	return err
}

// storeNamed stores a file whose digest is known.
func (u *unpacking) storeNamed(ctx context.Context, src *archiveSource, name oci.Name, at archive.Entry, d oci.Digest) (archive.Stored, error) {
	found, ok, err := u.find(ctx, name, d)
	if err == nil && !ok {
		var rc io.ReadCloser
		if rc, err = src.section(at); err != nil {
			return archive.Stored{}, err
		}
		defer rc.Close()
		found, err = u.r.PutBlob(ctx, u.who, name, at.Size, u.counted(rc), d)
	}
	return archive.Stored{Digest: found.Digest, Size: found.Size}, err
}

// storeLayer stores a layer of docker save, and tells whether its bytes were
// compressed here.
func (u *unpacking) storeLayer(ctx context.Context, src *archiveSource, name oci.Name, b archive.Blob) (out archive.Stored, packed bool, err error) {
	rc, err := src.section(b.Entry)
	if err != nil {
		return out, false, err
	}
	defer rc.Close()
	content := bufio.NewReader(u.counted(rc))
	head, err := content.Peek(archive.SniffLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return out, false, err
	}
	var stored oci.Descriptor
	switch c := archive.Sniff(head); c {
	case archive.Plain:
		out.Compression = archive.Gzip
		stored, err = u.pack(ctx, name, b.Diff, content)
	case archive.Gzip, archive.Zstd:
		out.Compression = c
		stored, err = u.storeCompressed(ctx, src, name, b, content)
	default:
		err = archive.BadFormat.As("A layer of the archive is compressed with %s, for which manifests have no name.", string(c))
	}
	out.Digest, out.Size = stored.Digest, stored.Size
	return out, out.Compression == archive.Gzip && archive.Sniff(head) == archive.Plain, err
}

// pack stores a layer without compression as one with.
func (u *unpacking) pack(ctx context.Context, name oci.Name, diff oci.Digest, content io.Reader) (oci.Descriptor, error) {
	content = archive.Verify(content, diff)
	if found, ok, err := u.packedBefore(ctx, name, diff); err != nil || ok {
		if err == nil {
			_, err = io.Copy(io.Discard, content)
		}
		return found, err
	}
	return u.r.putUnnamed(ctx, u.who, name, archive.Pack(content))
}

// storeCompressed stores a layer as it is. Its digest is known beforehand where
// its name says so, or where it can be read twice.
func (u *unpacking) storeCompressed(ctx context.Context, src *archiveSource, name oci.Name, b archive.Blob, content io.Reader) (oci.Descriptor, error) {
	d := b.Digest
	switch {
	case d == "" && src.compression == archive.Plain:
		h := oci.SHA256.New()
		if _, err := io.Copy(h, content); err != nil {
			return oci.Descriptor{}, err
		}
		stored, err := u.storeNamed(ctx, src, name, b.Entry, oci.SHA256.FromSum(h.Sum(nil)))
		return oci.Descriptor{Digest: stored.Digest, Size: stored.Size}, err
	case d == "":
		return u.r.putUnnamed(ctx, u.who, name, content)
	}
	if found, ok, err := u.find(ctx, name, d); err != nil || ok {
		return found, err
	}
	return u.r.PutBlob(ctx, u.who, name, b.Size, content, d)
}

// packedBefore finds the compressed form of a layer that an archive brought
// before, so that the same archive again stores nothing new.
func (u *unpacking) packedBefore(ctx context.Context, name oci.Name, diff oci.Digest) (oci.Descriptor, bool, error) {
	d, err := db.One[string](ctx, u.r.db, `SELECT p.digest FROM packed p JOIN repository r ON r.id = p.repository WHERE r.path = $1 AND p.diff = $2`, string(name), string(diff))
	if err != nil {
		return oci.Descriptor{}, false, ignoreNone(err)
	}
	found, err := u.r.StatBlob(ctx, u.who, name, oci.Digest(d))
	if fault.Is(err, fault.BlobUnknown) {
		return found, false, nil
	}
	return found, err == nil, err
}

// notePacked remembers which layers were compressed to what.
func notePacked(tx *db.Tx, repo int64, diff, d oci.Digest) error {
	_, err := tx.Exec(`INSERT INTO packed (repository, diff, digest) VALUES ($1, $2, $3)
		ON CONFLICT (repository, diff) DO UPDATE SET digest = excluded.digest WHERE packed.digest <> excluded.digest`, repo, string(diff), string(d))
	return err
}

// putUnnamed stores a blob whose digest is known only when all of it has come.
func (r *Registry) putUnnamed(ctx context.Context, who iam.Caller, name oci.Name, src io.Reader) (oci.Descriptor, error) {
	var none oci.Descriptor
	if err := r.mayPush(ctx, who, name); err != nil {
		return none, err
	}
	id, t, err := r.newUpload(who, name, oci.SHA256)
	if err != nil {
		return none, err
	}
	r.ids.started(t.Nonce) // nobody else knows it
	ctx, s, err := r.holdUpload(ctx, who, name, id, t)
	if err != nil {
		return none, err
	}
	defer s.lease.release()
	u, err := s.receive(ctx, -1, -1, src, true)
	var d oci.Digest
	if err == nil {
		d, err = r.blobs.Digest(ctx, u)
	}
	if err != nil {
		if s.key != "" { // nobody could go on with it
			err = errors.Join(err, r.blobs.Abort(context.WithoutCancel(ctx), u))
		}
		if s.saved {
			err = errors.Join(err, r.update(context.WithoutCancel(ctx), func(tx *db.Tx) error { return dropUpload(tx, t.Nonce) }))
		}
		return none, err
	}
	return s.complete(ctx, u, d)
}

// counted adds what is read to the progress.
func (u *unpacking) counted(src io.Reader) io.Reader { return progressing{src, &u.progress} }

type progressing struct {
	io.Reader
	n *atomic.Int64
}

func (p progressing) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.n.Add(int64(n))
	return n, err
}
