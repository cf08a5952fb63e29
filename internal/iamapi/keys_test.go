package iamapi_test

import (
	"strings"
	"testing"
	"time"
)

const credentials = "/v3.0/OS-CREDENTIAL/credentials"

func TestKeys(t *testing.T) {
	w := open(t)
	alice, boss, admin := w.login("alice"), w.login("boss"), w.login("admin")
	id := w.users["alice"].ID
	made := w.as(alice, "POST", credentials, `{"credential":{"user_id":"`+id+`","description":"of the builds"}}`).status(201)
	made.has("credential.status", "active").has("credential.user_id", id).has("credential.description", "of the builds")
	access, secret := made.text("credential.access"), made.text("credential.secret")
	if len(access) != 20 || len(secret) != 40 || !strings.HasSuffix(made.text("credential.create_time"), "Z") {
		t.Errorf("%s", made.body)
	}
	w.signed(access, secret, "GET", "/v3/projects?name=region-1", "").status(200).has("projects.#", 1)
	second := w.signed(access, secret, "POST", credentials, `{"credential":{}}`).status(201).has("credential.user_id", id)
	w.as(boss, "POST", credentials, `{"credential":{"user_id":"`+id+`"}}`).fails(400, "IAM.0011").has("error.message", "akSkNumExceed").has("error.title", "Bad Request")

	list := w.as(boss, "GET", credentials+"?user_id="+id, "").status(200).has("credentials.#", 2)
	one := w.as(alice, "GET", credentials+"/"+access, "").status(200).has("credential.access", access)
	for _, a := range []answer{list, one} {
		if strings.Contains(string(a.body), "secret") {
			t.Errorf("%s", a.body)
		}
	}
	w.as(boss, "GET", credentials, "").status(200).has("credentials.#", 0)
	w.as(alice, "GET", credentials, "").status(200).has("credentials.#", 2)
	w.as(alice, "GET", credentials+"?user_id="+w.users["boss"].ID, "").fails(403, "IAM.0003")
	for _, other := range []string{w.users["admin"].ID, "x", "%00"} {
		w.as(boss, "GET", credentials+"?user_id="+other, "").fails(404, "IAM.0004")
	}

	w.as(alice, "PUT", credentials+"/"+access, `{"credential":{"status":"inactive"}}`).status(200).has("credential.status", "inactive").has("credential.description", "of the builds")
	w.signed(access, secret, "GET", "/v3/projects", "").fails(401, "IAM.0001")
	w.as(alice, "PUT", credentials+"/"+access, `{"credential":{"status":"active","description":""}}`).status(200).has("credential.description", "")
	w.signed(access, secret, "GET", "/v3/projects", "").status(200)
	for body, code := range map[string]string{"": "IAM.0072", "{}": "IAM.0072", "[]": "IAM.0011", `{"credential":{"status":"on"}}`: "IAM.0011", `{"credential":{"description":"\n"}}`: "IAM.0011", `{"credential":{"status":true}}`: "IAM.0011"} {
		w.as(alice, "PUT", credentials+"/"+access, body).fails(400, code)
	}
	for _, other := range []string{"AKEXAMPLE0000000001A", "x", "%00%ff"} {
		w.as(boss, "GET", credentials+"/"+other, "").fails(404, "IAM.0004")
		w.as(boss, "PUT", credentials+"/"+other, `{"credential":{}}`).fails(404, "IAM.0004")
		w.as(boss, "DELETE", credentials+"/"+other, "").fails(404, "IAM.0004")
	}
	w.as(admin, "DELETE", credentials+"/"+access, "").fails(404, "IAM.0004")
	w.as(boss, "DELETE", credentials+"/"+second.text("credential.access"), "").status(204)
	w.as(alice, "DELETE", credentials+"/"+access, "").status(204)
	w.as(alice, "DELETE", credentials+"/"+access, "").fails(404, "IAM.0004")
	w.user("bob", false)
	bobs := w.as(w.login("bob"), "POST", credentials, `{"credential":{}}`).status(201).text("credential.access")
	w.as(alice, "GET", credentials+"/"+bobs, "").fails(404, "IAM.0004")
	w.signed(access, secret, "GET", "/v3/projects", "").fails(401, "IAM.0001")
	if log := w.log.String(); strings.Contains(log, secret) || strings.Contains(log, alice) || strings.Contains(log, "alice-password") || !strings.Contains(log, "iam_createCredential") {
		t.Error("the log has a secret, or not the requests")
	}
}

func TestSecurityTokens(t *testing.T) {
	w := open(t)
	alice := w.login("alice")
	const path = "/v3.0/OS-CREDENTIAL/securitytokens"
	body := func(token, more string) string {
		return `{"auth":{"identity":{"methods":["token"],"token":{"id":"` + token + `"` + more + `}}}}`
	}
	made := w.as(alice, "POST", path, body(alice, `,"duration_seconds":1000`)).status(201)
	access, secret, token := made.text("credential.access"), made.text("credential.secret"), made.text("credential.securitytoken")
	expires, err := time.Parse(time.RFC3339, made.text("credential.expires_at"))
	if err != nil || expires.Sub(w.now().Add(1000*time.Second)).Abs() > 10*time.Second {
		t.Errorf("%s: %v", made.body, err)
	}
	w.signed(access, secret, "GET", "/v3/projects", "", "X-Security-Token", token).status(200)
	w.signed(access, secret, "GET", "/v3/projects", "").fails(401, "IAM.0001")
	w.as(alice, "GET", credentials, "").status(200).has("credentials.#", 0)
	w.as(alice, "POST", path, "").status(201)
	w.signed(access, secret, "POST", path, `{"auth":{"identity":{"methods":["token"],"token":{"duration_seconds":86400}}}}`, "X-Security-Token", token).status(201).has("credential.expires_at", made.text("credential.expires_at"))
	for _, b := range []string{body(alice, `,"duration_seconds":899`), body(alice, `,"duration_seconds":86401`), body(alice, `,"duration_seconds":9223372036854775807`), body(alice, `,"duration_seconds":-9223372036854775808`),
		body(alice, `,"duration_seconds":1.5`), `{"auth":{"identity":{"methods":["assume_role"]}}}`, `{"auth":{"identity":{"methods":["token"],"policy":{"Statement":[]}}}}`} {
		w.as(alice, "POST", path, b).fails(400, "IAM.0011")
	}
	w.as(alice, "POST", path, body(w.login("boss"), "")).fails(401, "IAM.0067")
	w.do(w.request("POST", path, body(alice, ""))).fails(401, "IAM.0001")

	// It ends with the token of the call, and with the one in the body.
	for _, ends := range []int{0, 1} {
		tokens := []string{w.login("alice"), w.login("alice")}
		made := w.as(tokens[0], "POST", path, body(tokens[1], "")).status(201)
		list := func() answer {
			return w.signed(made.text("credential.access"), made.text("credential.secret"), "GET", "/v3/projects", "", "X-Security-Token", made.text("credential.securitytoken"))
		}
		list().status(200)
		r := w.request("DELETE", "/v3/auth/tokens", "")
		r.Header.Set("X-Auth-Token", alice)
		r.Header.Set("X-Subject-Token", tokens[ends])
		w.do(r).status(204)
		list().fails(401, "IAM.0001")
	}
	w.later.Store(int64(1001 * time.Second))
	w.signed(access, secret, "GET", "/v3/projects", "", "X-Security-Token", token).fails(401, "IAM.0001")
}
