package swrapi

import "testing"

func TestElsewhere(t *testing.T) {
	for path, want := range map[string]bool{
		"/v1": true, "/v3": true, "/v2.0": true, "/v": false, "/vx": false, "/version": false, "/": false, "": false, "/v3/": false,
		"/v2/manage": true, "/v3/manage": true, "/v4/manage": false,
		"/v2/0123/instances": true, "/v2/0123/instances/9/namespaces/x/repositories": true, "/v2/0123/jobs": true, "/v2/0123/jobs/7": true,
		"/v2//instances": false, "/v2/0123": false, "/v2/0123/instance": false, "/v3/0123/jobs": false,
	} {
		if got := Elsewhere(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
