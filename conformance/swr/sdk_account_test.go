package swr

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	swr "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2/model"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/wire"
)

func TestSDKVersions(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		version := `{"id":"v2","links":{"href":"` + f.URL() + `/v2","rel":"self"},"version":"<str>","status":"CURRENT","updated":"<str>","min_version":"<str>"}`
		ok(f, c.ListApiVersions, `{}`, 200, `{"versions":[`+version+`]}`)
		ok(f, c.ShowApiVersion, `{"api_version":"v2"}`, 200, `{"version":`+version+`}`)
		if _, err := c.ShowApiVersion(&model.ShowApiVersionRequest{ApiVersion: "v9"}); err == nil || !strings.Contains(err.Error(), "404") {
			f.Errorf("version v9: %v", err)
		}
	})
}

// dockerLogin is how other clients take the command apart.
var dockerLogin = regexp.MustCompile(`^docker login -u (\S+)\s+-p (\S+)\s+(\S+)$`)

func TestSDKLoginCommands(t *testing.T) {
	each(t, func(f *fixture) {
		f.Org(f.T, f.org)
		image := f.push("app", "v1")
		c := f.sdk(f.admin)
		f.login(ok(f, c.CreateSecret, `{}`, 200, `"<any>"`))
		secret := ok(f, c.CreateSecret, `{"projectname":"`+region+`"}`, 200, `"<any>"`)
		f.login(secret)
		refused(f, c.CreateSecret, `{"projectname":"no-such-project"}`, 400, "4000014")
		token := ok(f, c.CreateAuthorizationToken, `{}`, 200, `"<any>"`)
		l := f.login(&model.CreateSecretResponse{Auths: token.Auths, XSwrDockerlogin: token.XSwrDockerlogin, XSwrExpireat: token.XSwrExpireat})

		w, err := wire.New(f.URL(), f.Server.Client(), wire.Token, l.User, l.Password)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := w.Want(f.Context(), 200, wire.Request{Method: "GET", To: wire.Manifest(f.repo("app"), image.Digest.String())}); err != nil {
			f.Error(err)
		}
	})
}

// login checks a login command and returns what it logs in with.
func (f *fixture) login(r *model.CreateSecretResponse) berthtest.Login {
	f.Helper()
	if r.XSwrDockerlogin == nil || r.XSwrExpireat == nil {
		f.Fatalf("no command: %s", object(r))
	}
	m := dockerLogin.FindStringSubmatch(*r.XSwrDockerlogin)
	if m == nil || m[3] != f.Host || !strings.HasPrefix(m[1], region+"@") || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(m[2]) {
		f.Fatalf("the command is %q", *r.XSwrDockerlogin)
	}
	auth, err := base64.StdEncoding.DecodeString(r.Auths[f.Host].Auth)
	if err != nil || string(auth) != m[1]+":"+m[2] || len(r.Auths) != 1 {
		f.Errorf("auths are %s, the command %q", object(r.Auths), *r.XSwrDockerlogin)
	}
	end, err := time.Parse(time.RFC3339, *r.XSwrExpireat)
	if err != nil || time.Until(end) < 23*time.Hour || time.Until(end) > 25*time.Hour {
		f.Errorf("it ends %q", *r.XSwrExpireat)
	}
	return berthtest.Login{User: m[1], Password: m[2]}
}

func TestSDKAccount(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		f.Org(f.T, f.org)
		f.push("app", "v1")
		quotas := ok(f, c.ListQuotas, `{}`, 200, `"<any>"`)
		found := false
		for _, q := range *quotas.Quotas {
			found = found || q.QuotaKey == "namespace" && q.Unit == "" && q.Used > 0
		}
		if !found {
			f.Errorf("no quota of organizations: %s", object(quotas))
		}
		ok(f, c.ShowDomainOverview, `{}`, 200, `{"domain_id":"`+f.admin.Account+`","domain_name":"admin","namspace_num":"<int>","repo_num":"<int>","image_num":"<int>","store_space":"<num>","downflow_size":"<num>"}`)
		for _, kind := range []string{"store", "downflow"} {
			report := ok(f, c.ShowDomainResourceReports, `{"resource_type":"`+kind+`","frequency":"daily"}`, 200, `"<any>"`)
			for _, day := range *report.Body {
				if day.Date == nil || day.Value == nil {
					f.Errorf("the report of %s has %s", kind, object(day))
				}
			}
		}
		refused(f, c.ShowDomainResourceReports, `{"resource_type":"weather","frequency":"daily"}`, 400, "4000014")
		gates := ok(f, c.ShowShareFeatureGates, `{}`, 200, `"<any>"`)
		for name, gate := range map[string]*bool{
			"experience": gates.EnableExperience, "hss": gates.EnableHssService, "scan": gates.EnableImageScan, "sm3": gates.EnableSm3,
			"sync": gates.EnableImageSync, "cci": gates.EnableCciService, "label": gates.EnableImageLabel, "pipeline": gates.EnablePipeline,
		} {
			if gate == nil {
				f.Errorf("the gate %s is missing", name)
			}
		}

		// Of another account, whose agency nobody has made.
		own := f.user("admin")
		partner := f.sdk(f.partner)
		ok(f, partner.CheckAgency, `{}`, 200, `{"domain_id":"`+f.partner.Account+`","is_agency":false}`)
		ok(f, partner.CreateAgency, `{}`, 204, `{}`)
		refused(f, partner.CreateAgency, `{}`, 409, "4090006")
		ok(f, partner.CheckAgency, `{}`, 200, `{"domain_id":"`+f.partner.Account+`","is_agency":true}`)
		refused(f, f.sdk(own).CreateAgency, `{}`, 403, "4039002")
	})
}

// Credentials that are not good, and projects that are not the caller's.
func TestSDKCredentials(t *testing.T) {
	each(t, func(f *fixture) {
		unknown, wrong := f.admin, f.admin
		unknown.Access, wrong.Secret = "AKUNKNOWN00000000000", "wrong"
		for name, k := range map[string]berthtest.AccessKey{"unknown key": unknown, "wrong secret": wrong} {
			c := f.withProject(k, f.admin.Project)
			f.Run(name, func(t *testing.T) {
				g := *f
				g.T = t
				refused(&g, c.ListNamespaces, `{}`, 401, "4010000")
			})
		}
		refused(f, f.withProject(f.admin, f.partner.Project).ListNamespaces, `{}`, 403, "4039001")
		refused(f, f.withProject(f.admin, f.partner.Project).ListQuotas, `{}`, 403, "4039001")

		// As a private installation is told to: without looking at the
		// certificate, by the SDK's own switch.
		credential, err := basic.NewCredentialsBuilder().WithAk(f.admin.Access).WithSk(f.admin.Secret).WithProjectId(f.admin.Project).SafeBuild()
		if err != nil {
			f.Fatal(err)
		}
		c, err := swr.SwrClientBuilder().WithEndpoints([]string{f.URL()}).WithCredential(credential).
			WithHttpConfig(config.DefaultHttpConfig().WithIgnoreSSLVerification(true)).SafeBuild()
		if err != nil {
			f.Fatal(err)
		}
		ok(f, swr.NewSwrClient(c).ListNamespaces, `{"namespace":"none-of-these"}`, 200, `{"namespaces":[]}`)
	})
}
