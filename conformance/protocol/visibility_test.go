package protocol

import (
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/wire"
)

var noLogin berthtest.Login

// A blob is where it was pushed, and nowhere else.
func TestBlobsOfEachRepository(t *testing.T) {
	each(t, func(p *probe) {
		p.pushed(p.org+"/other", p.Blob(10))
		for _, size := range []int{100, 50_000} {
			b := p.pushed(p.repo, p.Blob(size))
			p.refused(p.do("GET", wire.Blob(p.org+"/other", b.Digest), nil), 404, "BLOB_UNKNOWN")
			p.want(404, "HEAD", wire.Blob(p.org+"/other", b.Digest), nil)
			p.refused(p.do("DELETE", wire.Blob(p.org+"/other", b.Digest), nil), 404, "BLOB_UNKNOWN")
		}
		image := p.push(p.repo, "v1", p.Image(1, 100))
		p.refused(p.do("GET", wire.Manifest(p.org+"/other", image.Digest.String()), nil), 404, "MANIFEST_UNKNOWN")
	})
}

// What a caller may not see looks like what is not there, and what may be seen
// but not changed is refused with a reason.
func TestRights(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "v1", p.Image(1, 100))
		layer := image.Blobs[1]
		none, reader, editor := p.User(p.T, "none-"+p.name), p.User(p.T, "reader-"+p.name), p.User(p.T, "editor-"+p.name)
		p.Grant(p.T, p.repo, reader.User, "read")
		p.Grant(p.T, p.org, editor.User, "edit")

		for _, path := range []string{wire.Manifest(p.repo, "v1"), wire.Blob(p.repo, layer.Digest), "/v2/" + p.repo + "/tags/list", referrersPath(p.repo, image.Digest)} {
			p.as(reader).want(200, "GET", path, nil)
			p.as(editor).want(200, "GET", path, nil)
			p.refused(p.as(noLogin).do("GET", path, nil), 401, "UNAUTHORIZED")
		}
		hidden := p.as(none).do("GET", wire.Manifest(p.repo, "v1"), nil)
		absent := p.as(none).do("GET", wire.Manifest(p.org+"/absent", "v1"), nil)
		if hidden.Status != absent.Status || p.code(hidden) != p.code(absent) || hidden.Status < 400 || hidden.Status >= 500 {
			p.Errorf("hidden: %d %s, absent: %d %s", hidden.Status, p.code(hidden), absent.Status, p.code(absent))
		}
		for who, want := range map[berthtest.Login]int{reader: 403, none: 403, noLogin: 401} {
			for _, r := range []struct{ method, to string }{
				{"POST", wire.Uploads(p.repo)}, {"PUT", wire.Manifest(p.repo, "v2")}, {"DELETE", wire.Manifest(p.repo, "v1")}, {"DELETE", wire.Blob(p.repo, layer.Digest)},
			} {
				resp := p.as(who).do(r.method, r.to, image.Data, "Content-Type", image.MediaType)
				if resp.Status != want && !(who == none && resp.Status == 404) {
					p.Errorf("%s: %s %s: %d, want %d", who.User, r.method, r.to, resp.Status, want)
				}
				p.code(resp)
			}
		}
		p.as(editor).push(p.org+"/new", "v1", image)
		p.refused(p.as(editor).do("DELETE", wire.Manifest(p.org+"/new", "v1"), nil), 403, "DENIED") // takes more than to push
		p.Grant(p.T, p.org+"/new", reader.User, "manage")
		p.as(reader).want(202, "DELETE", wire.Manifest(p.org+"/new", "v1"), nil)
		p.refused(p.as(reader).do("POST", wire.Uploads(p.org+"/new"), nil), 403, "DENIED") // takes a right on the organization
		p.serves(wire.Manifest(p.repo, "v1"), image.Blob)
	})
}

// A right that is taken away ends at once, and so does a login.
func TestRightsEnd(t *testing.T) {
	each(t, func(p *probe) {
		p.push(p.repo, "v1", p.Image(1, 100))
		user := p.User(p.T, "leaver-"+p.name)
		leaver := p.as(user)
		leaver.want(403, "GET", wire.Manifest(p.repo, "v1"), nil)
		p.Grant(p.T, p.repo, user.User, "read")
		leaver.want(200, "GET", wire.Manifest(p.repo, "v1"), nil)
		p.Revoke(p.T, p.repo, user.User)
		leaver.want(403, "GET", wire.Manifest(p.repo, "v1"), nil)
		p.Grant(p.T, p.repo, user.User, "read")
		p.Disable(p.T, user.User)
		p.refused(leaver.do("GET", wire.Manifest(p.repo, "v1"), nil), 401, "UNAUTHORIZED")
	})
}

func TestPublic(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "v1", p.Image(1, 100))
		anonymous := p.as(noLogin)
		anonymous.want(401, "GET", wire.Manifest(p.repo, "v1"), nil)
		p.Public(p.T, p.repo)
		anonymous.serves(wire.Manifest(p.repo, "v1"), image.Blob)
		anonymous.serves(wire.Blob(p.repo, image.Blobs[1].Digest), image.Blobs[1])
		for _, r := range []struct{ method, to string }{
			{"POST", wire.Uploads(p.repo)}, {"PUT", wire.Manifest(p.repo, "v2")}, {"DELETE", wire.Manifest(p.repo, "v1")},
		} {
			p.refused(anonymous.do(r.method, r.to, nil), 401, "UNAUTHORIZED")
		}
	})
}
