package protocol

import (
	"net/url"
	"testing"

	"github.com/opencontainers/go-digest"

	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// mount asks for a blob from another repository, or from any.
func (p *probe) mount(repo, from string, d digest.Digest) *wire.Response {
	p.Helper()
	query := url.Values{"mount": {d.String()}}
	if from != "" {
		query.Set("from", from)
	}
	return p.do("POST", wire.Uploads(repo)+"?"+query.Encode(), nil)
}

// searched mounts a blob without saying from where. A token has to be issued
// for the source as well; a password goes for all that its user may pull.
func (p *probe) searched(to, source string, b images.Blob) {
	p.Helper()
	if p.scheme == wire.Basic {
		p.arrived(p.mount(to, "", b.Digest), to, b)
		return
	}
	if resp := p.mount(to, "", b.Digest); resp.Status != 202 {
		p.Fatalf("mounted from %s with a token for %s alone: %d", source, to, resp.Status)
	}
	ping, err := p.SendAs(p.Context(), wire.Request{Method: "GET", To: "/v2/"}, "")
	p.must(err)
	challenge, err := wire.ParseChallenge(ping.Header.Get("WWW-Authenticate"))
	p.must(err)
	challenge.Scope = "repository:" + to + ":pull,push repository:" + source + ":pull"
	token, err := p.Fetch(p.Context(), challenge)
	p.must(err)
	resp, err := p.SendAs(p.Context(), wire.Request{Method: "POST", To: wire.Uploads(to) + "?mount=" + url.QueryEscape(b.Digest.String())}, "Bearer "+token)
	p.must(err)
	p.arrived(resp, to, b)
}

func TestMount(t *testing.T) {
	each(t, func(p *probe) {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			for _, size := range []int{300, 40_000} {
				p.Algorithm = algorithm
				b := p.pushed(p.org+"/source", p.Blob(size))
				p.arrived(p.mount(p.org+"/named", p.org+"/source", b.Digest), p.org+"/named", b)
				p.searched(p.org+"/searched", p.org+"/source", b)
			}
		}
		p.Algorithm = digest.SHA256
		// What came by mount is as good as what was pushed.
		image := p.push(p.org+"/source", "v1", p.Image(2, 20_000))
		for _, b := range image.Blobs {
			p.arrived(p.mount(p.org+"/mounted", p.org+"/source", b.Digest), p.org+"/mounted", b)
		}
		p.must(p.PushManifest(p.Context(), p.org+"/mounted", "v1", image.Blob))
		p.serves(wire.Manifest(p.org+"/mounted", "v1"), image.Blob)
	})
}

// What cannot be mounted becomes an upload, which works.
func TestMountNothing(t *testing.T) {
	each(t, func(p *probe) {
		p.pushed(p.org+"/source", p.Blob(10))
		for _, from := range []string{"", p.org + "/source", p.org + "/absent", "no-such-organization/app"} {
			b := p.Blob(500)
			resp := p.mount(p.repo, from, b.Digest)
			if resp.Status != 202 {
				p.Fatalf("mount from %q: %d %s", from, resp.Status, resp.Body)
			}
			p.arrived(p.do("PUT", wire.WithDigest(p.location(resp), b.Digest), b.Data), p.repo, b)
		}
		p.refused(p.mount(p.repo, p.org+"/source", "sha256:bad"), 400, "DIGEST_INVALID")
	})
}

// A repository that the caller may not pull from is as good as absent.
func TestMountForbidden(t *testing.T) {
	each(t, func(p *probe) {
		secret := p.pushed(p.repo, p.Blob(500))
		mine := p.Org(p.T, p.org+"-mine") + "/app"
		user := p.User(p.T, "mallory-"+p.name)
		p.Grant(p.T, p.org+"-mine", user.User, "edit")
		mallory := p.as(user)
		absent := images.New(p.Name() + " absent").Blob(500)
		for _, from := range []string{"", p.repo} {
			for _, b := range []images.Blob{secret, absent} {
				if resp := mallory.mount(mine, from, b.Digest); resp.Status != 202 {
					p.Errorf("mount from %q: %d %s", from, resp.Status, resp.Body)
				}
			}
		}
		p.pushed(mine, p.Blob(10))
		p.want(404, "HEAD", wire.Blob(mine, secret.Digest), nil)
	})
}
