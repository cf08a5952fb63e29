package swr

import (
	"errors"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/global"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	sdkregion "github.com/huaweicloud/huaweicloud-sdk-go-v3/core/region"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	iam "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/iam/v3"
	iammodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/iam/v3/model"
	swr "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2"

	"berth.dev/berth/conformance/internal/berthtest"
)

// identity is the vendor's IAM client with a key. It asks the server for its
// account.
func (f *fixture) identity(k berthtest.AccessKey) *iam.IamClient {
	f.Helper()
	credential, err := global.NewCredentialsBuilder().WithAk(k.Access).WithSk(k.Secret).WithIamEndpointOverride(f.URL()).SafeBuild()
	if err != nil {
		f.Fatal(err)
	}
	c, err := iam.IamClientBuilder().WithRegion(sdkregion.NewRegion(region, f.URL())).WithCredential(credential).
		WithHttpConfig(config.DefaultHttpConfig().WithHttpRoundTripper(f.transport())).SafeBuild()
	if err != nil {
		f.Fatal(err)
	}
	return iam.NewIamClient(c)
}

// denied makes a call of the IAM client that must fail. Its errors are objects
// whatever the management API's are.
func denied[Q, R any](f *fixture, call func(*Q) (*R, error), in string, status int, code string) {
	f.Helper()
	_, err := call(filled[Q](f, in))
	var problem *sdkerr.ServiceResponseError
	if !errors.As(err, &problem) || problem.StatusCode != status || problem.ErrorCode != code || problem.ErrorMessage == "" || problem.RequestId == "" {
		f.Errorf("%s: want %d %s, got %v", name[Q](), status, code, err)
	}
}

func TestSDKProjectsAndAccounts(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.identity(f.admin)
		domain := `"domain_id":"` + f.admin.Account + `","parent_id":"` + f.admin.Account + `"`
		project := `{"id":"` + f.admin.Project + `","name":"` + region + `",` + domain + `,"enabled":true,"is_domain":false,"description":"","links":"<any>"}`
		ok(f, c.KeystoneListProjects, `{"name":"`+region+`"}`, 200, `{"projects":[`+project+`],"links":"<any>"}`)
		ok(f, c.KeystoneListProjects, `{"name":"none"}`, 200, `{"projects":[],"links":"<any>"}`)
		ok(f, c.KeystoneListProjects, `{"domain_id":"`+f.partner.Account+`"}`, 200, `{"projects":[],"links":"<any>"}`)
		ok(f, c.KeystoneListAuthProjects, `{}`, 200, `{"projects":[`+project+`],"links":"<any>"}`)
		ok(f, c.KeystoneShowProject, `{"project_id":"`+f.admin.Project+`"}`, 200, `{"project":`+project+`}`)
		denied(f, c.KeystoneShowProject, `{"project_id":"`+f.partner.Project+`"}`, 404, "IAM.0004")
		ok(f, c.KeystoneListAuthDomains, `{}`, 200, `{"domains":[{"id":"`+f.admin.Account+`","name":"admin","enabled":true,"description":"","links":"<any>"}],"links":"<any>"}`)
		ok(f, f.identity(f.partner).KeystoneListAuthDomains, `{}`, 200, `{"domains":[{"id":"`+f.partner.Account+`","name":"partner","enabled":true,"description":"","links":"<any>"}],"links":"<any>"}`)
	})
}

func TestSDKUsersAndKeys(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.identity(f.admin)
		user := f.org + "-user"
		made := ok(f, c.CreateUser, `{"body":{"user":{"name":"`+user+`","domain_id":"`+f.admin.Account+`","password":"correct horse battery","enabled":true,"description":"builds","email":"b@example.com","areacode":"0086","phone":"13800000000"}}}`, 201, `"<any>"`)
		if made.User.Name != user || made.User.DomainId != f.admin.Account || !made.User.Enabled || made.User.Id == "" {
			f.Errorf("it made %s", object(made))
		}
		at := `{"user_id":"` + made.User.Id + `"`
		shown := ok(f, c.ShowUser, at+`}`, 200, `"<any>"`)
		if shown.User.Id != made.User.Id || shown.User.IsDomainOwner || shown.User.Description != "builds" || shown.User.AccessMode == "" ||
			*shown.User.Email != "b@example.com" || *shown.User.Areacode != "0086" || *shown.User.Phone != "13800000000" {
			f.Errorf("it shows %s", object(shown))
		}
		listed := ok(f, c.KeystoneListUsers, `{"name":"`+user+`"}`, 200, `"<any>"`)
		if len(*listed.Users) != 1 || (*listed.Users)[0].Id != made.User.Id {
			f.Errorf("it lists %s", object(listed))
		}
		ok(f, c.KeystoneListUsers, `{"name":"none-of-these"}`, 200, `{"users":[],"links":"<any>"}`)
		ok(f, c.KeystoneShowUser, at+`}`, 200, `"<any>"`)
		ok(f, c.UpdateUser, at+`,"body":{"user":{"description":"tests","email":"t@example.com"}}}`, 200, `"<any>"`)
		denied(f, c.UpdateUser, at+`,"body":{"user":{"phone":"12-34"}}}`, 400, "IAM.0011")
		if shown := ok(f, c.ShowUser, at+`}`, 200, `"<any>"`); shown.User.Description != "tests" || *shown.User.Email != "t@example.com" || *shown.User.Phone != "13800000000" {
			f.Errorf("it shows %s", object(shown))
		}

		key := func() berthtest.AccessKey {
			k := ok(f, c.CreatePermanentAccessKey, `{"body":{"credential":`+at+`,"description":"d"}}}`, 201,
				`{"credential":{"access":"<str>","secret":"<str>","status":"active","user_id":"`+made.User.Id+`","create_time":"<time>","description":"d"}}`)
			return berthtest.AccessKey{Access: k.Credential.Access, Secret: k.Credential.Secret, User: made.User.Id, UserName: user}
		}
		first, second := key(), key()
		_, err := c.CreatePermanentAccessKey(filled[iammodel.CreatePermanentAccessKeyRequest](f, `{"body":{"credential":`+at+`}}}`))
		var problem *sdkerr.ServiceResponseError
		if !errors.As(err, &problem) || problem.StatusCode != 400 {
			f.Errorf("a third key: %v", err)
		}
		row := `{"access":"` + first.Access + `","status":"active","user_id":"` + made.User.Id + `","create_time":"<time>","last_use_time":"","description":"d"}` // as the SDK fills what is absent
		ok(f, c.ShowPermanentAccessKey, `{"access_key":"`+first.Access+`"}`, 200, `{"credential":`+row+`}`)
		if keys := ok(f, c.ListPermanentAccessKeys, at+`}`, 200, `"<any>"`); len(*keys.Credentials) != 2 {
			f.Errorf("the keys are %s", object(keys))
		}

		// A key works until it is switched off.
		ok(f, f.sdk(second).ListNamespaces, `{}`, 200, `{"namespaces":[]}`)
		ok(f, c.UpdatePermanentAccessKey, `{"access_key":"`+second.Access+`","body":{"credential":{"status":"inactive"}}}`, 200, `"<any>"`)
		refused(f, f.withProject(second, f.admin.Project).ListNamespaces, `{}`, 401, "4010000")
		ok(f, c.DeletePermanentAccessKey, `{"access_key":"`+second.Access+`"}`, 204, `{}`)
		denied(f, c.ShowPermanentAccessKey, `{"access_key":"`+second.Access+`"}`, 404, "IAM.0004")

		// Users without rights see themselves and nobody else.
		own := f.identity(first)
		ok(f, own.ShowUser, at+`}`, 200, `"<any>"`)
		denied(f, own.CreateUser, `{"body":{"user":{"name":"more","domain_id":"`+f.admin.Account+`"}}}`, 403, "IAM.0003")
		denied(f, own.ShowUser, `{"user_id":"`+f.admin.User+`"}`, 403, "IAM.0003")
		if users := ok(f, own.KeystoneListUsers, `{}`, 200, `"<any>"`); len(*users.Users) != 1 || (*users.Users)[0].Id != made.User.Id {
			f.Errorf("a user lists %s", object(users))
		}
		denied(f, f.identity(f.partner).ShowUser, at+`}`, 404, "IAM.0004")

		// A temporary key signs as well, with its token.
		session := ok(f, own.CreateTemporaryAccessKeyByToken, `{"body":{"auth":{"identity":{"methods":["token"],"token":{"duration_seconds":900}}}}}`, 201,
			`{"credential":{"access":"<str>","secret":"<str>","securitytoken":"<str>","expires_at":"<time>"}}`)
		credential, err := basic.NewCredentialsBuilder().WithAk(session.Credential.Access).WithSk(session.Credential.Secret).
			WithSecurityToken(session.Credential.Securitytoken).WithProjectId(f.admin.Project).SafeBuild()
		if err != nil {
			f.Fatal(err)
		}
		temporary, err := swr.SwrClientBuilder().WithEndpoints([]string{f.URL()}).WithCredential(credential).
			WithHttpConfig(config.DefaultHttpConfig().WithHttpRoundTripper(f.transport())).SafeBuild()
		if err != nil {
			f.Fatal(err)
		}
		ok(f, swr.NewSwrClient(temporary).ListNamespaces, `{}`, 200, `{"namespaces":[]}`)

		ok(f, c.KeystoneDeleteUser, at+`}`, 204, `{}`)
		denied(f, c.ShowUser, at+`}`, 404, "IAM.0004")
		refused(f, f.withProject(first, f.admin.Project).ListNamespaces, `{}`, 401, "4010000")
	})
}

func TestSDKRoles(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.identity(f.admin)
		listed := ok(f, c.KeystoneListPermissions, `{"name":"te_admin"}`, 200, `"<any>"`)
		if len(*listed.Roles) != 1 || (*listed.Roles)[0].Id != "0" || (*listed.Roles)[0].Name != "te_admin" || (*listed.Roles)[0].Policy == nil {
			f.Errorf("the roles are %s", object(listed))
		}
		if shown := ok(f, c.KeystoneShowPermission, `{"role_id":"0"}`, 200, `"<any>"`); shown.Role.Name != "te_admin" {
			f.Errorf("it shows %s", object(shown))
		}
		denied(f, c.KeystoneShowPermission, `{"role_id":"7"}`, 404, "IAM.0004")
	})
}

func TestSDKTokens(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.identity(f.admin)
		l := f.User(f.T, f.org+"-user")
		body := func(password string) string {
			return `{"body":{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"` + l.User + `","password":"` + password +
				`","domain":{"name":"admin"}}}},"scope":{"project":{"name":"` + region + `"}}}}}`
		}
		made := ok(f, c.KeystoneCreateUserTokenByPassword, body(l.Password), 201, `"<any>"`)
		if made.XSubjectToken == nil || *made.XSubjectToken == "" || made.Token.Project.Name != region || made.Token.User.Name != l.User || len(made.Token.Catalog) == 0 {
			f.Errorf("the token is %s", object(made))
		}
		denied(f, c.KeystoneCreateUserTokenByPassword, body("wrong"), 401, "IAM.0062")
		shown := ok(f, c.KeystoneValidateToken, `{"X-Subject-Token":"`+*made.XSubjectToken+`"}`, 200, `"<any>"`)
		if shown.Token.User.Name != l.User {
			f.Errorf("the token is %s", object(shown))
		}
		denied(f, c.KeystoneValidateToken, `{"X-Subject-Token":"none"}`, 404, "IAM.0004")
		denied(f, f.identity(f.partner).KeystoneValidateToken, `{"X-Subject-Token":"`+*made.XSubjectToken+`"}`, 404, "IAM.0004")

		key := f.AccessKey(f.T, "", l.User)
		ok(f, f.identity(key).KeystoneUpdateUserPassword, `{"user_id":"`+key.User+`","body":{"user":{"original_password":"`+l.Password+`","password":"another horse battery"}}}`, 204, `{}`)
		denied(f, c.KeystoneCreateUserTokenByPassword, body(l.Password), 401, "IAM.0062")
		ok(f, c.KeystoneCreateUserTokenByPassword, body("another horse battery"), 201, `"<any>"`)
	})
}
