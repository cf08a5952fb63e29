package swr

import (
	"os/exec"
	"strings"
	"testing"
)

// A step is what one call of a walk-through answers: the status, and a body
// with the members and the types of the document's own example.
type step struct {
	status, example string
}

// The documents show these bodies. What differs in them from one registry to
// the next are the values.
const (
	exampleOrganizations = `{"namespaces":[{"auth":7,"creator_name":"test","id":7,"name":"group"}]}`
	exampleRepository    = `{"category":"other","created":"2020-10-30T11:35:02.939134Z","creator_id":"ff4f44473a1d4ab3847906410af2d152","creator_name":"test",
		"description":"","domain_id":"8b1e8153e5c4414fa57c356319b633fb","id":379367,"internal_path":"","is_public":true,"name":"test","ns_id":7,"num_download":3,
		"num_images":1,"path":"","priority":0,"size":1304902,"updated":"2020-10-30T11:47:46.084808Z","url":""}`
	exampleRights = `{"id":1,"name":"test","self_auth":{"user_id":"","user_name":"","auth":7},"others_auths":[{"user_id":"fb3f175c1fd146ab8cdae3272be6107b","user_name":"user01","auth":1}]}`
	exampleError  = `[{"errorCode":"SVCSTG.SWR.4001048","errorMessage":"...","detail":""}]`
	exampleObject = `{"error_code":"","error_msg":"","errorCode":"","errorMessage":"","errors":[{"errorCode":"","errorMessage":"","detail":""}],"request_id":""}`
)

// optional are members that the list of organizations may have beside those of
// its example.
var optional = strings.NewReplacer(`"access_user_count":number,`, "",
	`"creator_name":string,"description":string,"id":number,"is_public":bool,"name":string,"repo_count":number`, `"creator_name":string,"id":number,"name":string`)

func TestWalkThroughs(t *testing.T) {
	each(t, func(f *fixture) {
		if _, err := exec.LookPath("curl"); err != nil {
			f.Fatal("curl is not here")
		}
		reader := f.User(f.T, f.org+"-user01")
		key := f.AccessKey(f.T, "", reader.User)
		admin := f.Admin()
		env := []string{
			"ENDPOINT=" + f.URL(), "ACCOUNT=admin", "PROJECT=" + region, "USER=" + admin.User, "PASSWORD=" + admin.Password, "ORGANIZATION=" + f.org,
			"READER=" + reader.User, "READER_ID=" + key.User, "READER_PASSWORD=" + reader.Password,
		}
		repository := f.walk("repository.sh", env, []step{{"201", `{}`}, {"200", exampleOrganizations}, {"201", `{}`}, {"200", exampleRepository}})
		path := f.Host + "/" + f.org + "/test"
		if d := unlike(`{"category":"linux","created":"<time>","creator_id":"<id>","creator_name":"admin","description":"test","domain_id":"<id>","id":"<int>",
			"internal_path":"`+path+`","is_public":false,"name":"test","ns_id":"<int>","num_download":0,"num_images":0,"path":"`+path+`","priority":0,"size":0,
			"updated":"<time>","url":""}`, repository[3]); d != "" {
			f.Error(d)
		}
		failure := exampleError
		if f.objects {
			failure = exampleObject
		}
		rights := f.walk("rights.sh", env, []step{{"201", `{}`}, {"200", exampleRights}, {"200", exampleRepository}, {"403", failure}})
		if !strings.Contains(rights[3], "SVCSTG.SWR.4039002") {
			f.Errorf("a reader deletes: %s", rights[3])
		}
	})
}

// walk runs a script, compares what it wrote, and returns the bodies.
func (f *fixture) walk(script string, env []string, steps []step) []string {
	f.Helper()
	c := exec.CommandContext(f.Context(), "./walkthrough/"+script)
	c.Env = append(c.Environ(), env...)
	out, err := c.Output()
	if err != nil {
		f.Fatalf("%s: %v\n%s", script, err, out)
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(lines) != 2*len(steps) {
		f.Fatalf("%s wrote %d lines, want %d:\n%s", script, len(lines), 2*len(steps), out)
	}
	var bodies []string
	for i, s := range steps {
		status, body := lines[2*i], lines[2*i+1]
		want, _ := skeleton(s.example)
		got, err := skeleton(body)
		if err != nil || status != s.status || optional.Replace(got) != want {
			f.Errorf("%s, step %d: %s %v\n got %s\nwant %s\nin %s", script, i+1, status, err, got, want, body)
		}
		bodies = append(bodies, body)
	}
	return bodies
}
