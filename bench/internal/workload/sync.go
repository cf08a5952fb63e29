package workload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
	"berth.dev/berth/bench/internal/target"
)

const (
	syncedMiB   = 512 // of the large image, in two layers
	syncedSmall = 1000
	tagsPerCall = 100
	copiers     = 8 // processes of a client
	copyLimit   = 5 * time.Minute
)

// A copier copies tags of a repository to the peer.
type copier struct {
	name string
	copy func(repo string, tags []string) error
}

// synchronize times copies to another server: by the server itself, and by the
// clients that there are. Each copies images of its own, which the other side
// cannot have.
func synchronize(s *Session) error {
	peer := s.Target.Peer
	if peer == nil || !s.Target.Owned() {
		return nil
	}
	defer func() {
		peer.Stop()
		_ = peer.Wipe()
	}()
	if err := peer.Fresh(); err != nil {
		return err
	}
	for _, args := range peer.Join {
		if err := s.Target.Command(args, time.Minute); err != nil {
			return err
		}
	}
	own, err := s.byRegion()
	if err != nil {
		return err
	}
	clients, done, err := s.copyClients()
	if err != nil {
		return err
	}
	defer done()
	n := 0
	timed := func(by copier, images, layers int, size int64, amount float64) competitor {
		return competitor{by.name, func() (float64, error) {
			n++
			repo := fmt.Sprintf("%s-sync%d", s.run, n)
			o := loop(s.filler, 4, s.Seed, images, func(c *raw.Client, i int) error {
				return pushImage(c, "bench/"+repo, tagName(i), content.NewImage(s.id("%s-%d", repo, i), layers, size))
			})
			if o.err != nil || o.n < images {
				return 0, fmt.Errorf("%d of %d images were pushed: %w", o.n, images, o.err)
			}
			tags := make([]string, images)
			for i := range tags {
				tags[i] = tagName(i)
			}
			begin := time.Now()
			if err := by.copy(repo, tags); err != nil {
				return 0, err
			}
			rate := amount / time.Since(begin).Seconds()
			return rate, s.arrived(repo, images)
		}}
	}
	size := s.mebibytes(syncedMiB) / 2
	few := s.count(syncedSmall)
	for _, what := range []struct {
		name, unit string
		with       func(copier) competitor
	}{
		{"large image", "MiB/s", func(by copier) competitor { return timed(by, 1, 2, size, float64(2*size)/(1<<20)) }},
		{"small images", "images/s", func(by copier) competitor { return timed(by, few, 1, 4<<10, float64(few)) }},
	} {
		cs := []competitor{what.with(own)}
		for _, c := range clients {
			cs = append(cs, what.with(c))
		}
		rates, err := interleave(max(s.Rounds/2, 1), true, cs...)
		if err != nil {
			return err
		}
		s.record(what.name, what.unit, rates[0], result.Higher)
		best := 0.0
		for i, r := range rates[1:] {
			s.record(what.name+", "+cs[i+1].name, what.unit, r, result.Info)
			best = max(best, r)
		}
		if best > 0 {
			s.record(what.name+", client", what.unit, best, result.Info)
		}
	}
	return nil
}

// arrived makes sure that the peer has the tags.
func (s *Session) arrived(repo string, tags int) error {
	e, err := s.Target.Peer.Endpoint()
	if err != nil {
		return err
	}
	e.Basic = true
	c := e.New()
	defer c.Close()
	r, err := c.Do(&raw.Request{Method: "GET", Path: "/v2/bench/" + repo + "/tags/list", Keep: true})
	if err != nil {
		return err
	}
	if n := bytes.Count(r.Body, []byte(`"v0`)); r.Status != 200 || n != tags {
		return fmt.Errorf("the peer answers %d and has %d of %d tags of %s", r.Status, n, tags, repo)
	}
	return nil
}

// byRegion copies by the management API, and waits until no job is left.
func (s *Session) byRegion() (copier, error) {
	token, err := login(s.Target.URL, target.Account{Name: s.Target.User, User: s.Target.User, Password: s.Target.Password})
	if err != nil {
		return copier{}, err
	}
	ask := func(c *raw.Client, r raw.Request) ([]byte, error) {
		r.Token, r.Keep = token, true
		got, err := c.Once(&r)
		if err == nil && got.Status != 200 {
			err = fmt.Errorf("%s %s: status %d %.200s", r.Method, r.Path, got.Status, got.Body)
		}
		if err != nil {
			return nil, err
		}
		return got.Body, nil
	}
	return copier{"berth", func(repo string, tags []string) error {
		c := s.New()
		defer c.Close()
		for len(tags) > 0 {
			some := tags[:min(len(tags), tagsPerCall)]
			tags = tags[len(some):]
			body, err := json.Marshal(map[string]any{"imageTag": some, "remoteRegionId": "peer", "remoteNamespace": "bench"})
			if err != nil {
				return err
			}
			if _, err := ask(c, raw.Request{Method: "POST", Path: "/v2/manage/namespaces/bench/repos/" + repo + "/sync_images", ContentType: "application/json", Body: body}); err != nil {
				return err
			}
		}
		for end := time.Now().Add(copyLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			body, err := ask(c, raw.Request{Method: "GET", Path: "/v2/manage/jobs?kind=sync&limit=1"})
			if err != nil || bytes.Contains(body, []byte(`"jobs":[]`)) {
				return err
			}
		}
		return fmt.Errorf("jobs are left after %s", copyLimit)
	}}, nil
}

// copyClients are those of crane and regctl that are in the path, logged in to
// both sides. done removes what they keep.
func (s *Session) copyClients() (all []copier, done func(), err error) {
	home, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { _ = os.RemoveAll(home) }
	auths, hosts := map[string]any{}, map[string]any{}
	for _, t := range []*target.Target{s.Target, s.Target.Peer} {
		host := strings.TrimPrefix(t.URL, "http://")
		auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(t.User + ":" + t.Password))}
		hosts[host] = map[string]string{"tls": "disabled", "hostname": host, "user": t.User, "pass": t.Password}
	}
	for name, v := range map[string]any{"config.json": map[string]any{"auths": auths}, "regctl.json": map[string]any{"hosts": hosts}} {
		b, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(filepath.Join(home, name), b, 0o600)
		}
		if err != nil {
			return nil, done, err
		}
	}
	env := append(os.Environ(), "HOME="+home, "DOCKER_CONFIG="+home, "REGCTL_CONFIG="+filepath.Join(home, "regctl.json"))
	from, to := strings.TrimPrefix(s.Target.URL, "http://")+"/bench/", strings.TrimPrefix(s.Target.Peer.URL, "http://")+"/bench/"
	for _, client := range [][]string{{"crane", "copy"}, {"regctl", "image", "copy"}} {
		program, err := exec.LookPath(client[0])
		if err != nil {
			continue
		}
		all = append(all, copier{client[0], func(repo string, tags []string) error {
			var next atomic.Int64
			var work sync.WaitGroup
			failures := make(chan error, copiers)
			for range min(copiers, len(tags)) {
				work.Go(func() {
					for i := int(next.Add(1)) - 1; i < len(tags); i = int(next.Add(1)) - 1 {
						cmd := exec.Command(program, append(client[1:len(client):len(client)], from+repo+":"+tags[i], to+repo+":"+tags[i])...)
						cmd.Env = env
						if out, err := cmd.CombinedOutput(); err != nil {
							failures <- fmt.Errorf("%s: %w: %s", client[0], err, out[max(0, len(out)-300):])
							return
						}
					}
				})
			}
			work.Wait()
			close(failures)
			return <-failures
		}})
	}
	return all, done, nil
}
