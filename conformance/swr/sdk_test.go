package swr

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	sdkregion "github.com/huaweicloud/huaweicloud-sdk-go-v3/core/region"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	swr "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2"

	"berth.dev/berth/conformance/internal/berthtest"
)

// sdk is the vendor's client with a key. It asks the server for its project by
// the name of the region, as it does everywhere where none is configured.
func (f *fixture) sdk(k berthtest.AccessKey) *swr.SwrClient {
	f.Helper()
	credential, err := basic.NewCredentialsBuilder().WithAk(k.Access).WithSk(k.Secret).WithIamEndpointOverride(f.URL()).SafeBuild()
	if err != nil {
		f.Fatal(err)
	}
	c, err := swr.SwrClientBuilder().WithRegion(sdkregion.NewRegion(region, f.URL())).WithCredential(credential).
		WithHttpConfig(config.DefaultHttpConfig().WithHttpRoundTripper(f.transport())).SafeBuild()
	if err != nil {
		f.Fatal(err)
	}
	return swr.NewSwrClient(c)
}

// withProject is the SDK's client where a project is configured.
func (f *fixture) withProject(k berthtest.AccessKey, project string) *swr.SwrClient {
	f.Helper()
	credential, err := basic.NewCredentialsBuilder().WithAk(k.Access).WithSk(k.Secret).WithProjectId(project).SafeBuild()
	if err != nil {
		f.Fatal(err)
	}
	c, err := swr.SwrClientBuilder().WithEndpoints([]string{f.URL()}).WithCredential(credential).
		WithHttpConfig(config.DefaultHttpConfig().WithHttpRoundTripper(f.transport())).SafeBuild()
	if err != nil {
		f.Fatal(err)
	}
	return swr.NewSwrClient(c)
}

// filled is a request of the SDK made from JSON, with the Content-Type that it
// asks for everywhere.
func filled[Q any](f *fixture, in string) *Q {
	f.Helper()
	q := new(Q)
	d := json.NewDecoder(strings.NewReader(in))
	d.DisallowUnknownFields() // the SDK could not send it
	if err := d.Decode(q); err != nil {
		f.Fatalf("%T: %v\n%s", q, err, in)
	}
	if _, ok := reflect.TypeFor[Q]().FieldByName("ContentType"); ok {
		if err := json.Unmarshal([]byte(`{"Content-Type":"application/json"}`), q); err != nil {
			f.Fatal(err)
		}
	}
	return q
}

// ok makes a call of the SDK that must succeed with a status, and compares what
// the SDK understood, headers included, with the expected text. It returns
// that.
func ok[Q, R any](f *fixture, call func(*Q) (*R, error), in string, status int, want string) *R {
	f.Helper()
	out, err := call(filled[Q](f, in))
	if err != nil {
		f.Fatalf("%s: %v", name[Q](), err)
	}
	if got := reflect.ValueOf(out).Elem().FieldByName("HttpStatusCode").Int(); got != int64(status) {
		f.Errorf("%s: status %d, want %d", name[Q](), got, status)
	}
	if d := unlike(want, object(out)); d != "" {
		f.Errorf("%s: %s", name[Q](), d)
	}
	return out
}

// refused makes a call of the SDK that must fail, with a code of SVCSTG.SWR.
func refused[Q, R any](f *fixture, call func(*Q) (*R, error), in string, status int, code string) {
	f.Helper()
	_, err := call(filled[Q](f, in))
	var problem *sdkerr.ServiceResponseError
	if !errors.As(err, &problem) {
		f.Errorf("%s: want %d %s, got %v", name[Q](), status, code, err)
		return
	}
	got := problem.ErrorCode
	if !f.objects {
		// The SDK takes a list as it is, for the message.
		if got != "" {
			f.Errorf("%s: the SDK found the code %q in a list", name[Q](), got)
		}
		var list []struct{ ErrorCode, ErrorMessage, Detail string }
		if e := json.Unmarshal([]byte(problem.ErrorMessage), &list); e != nil || len(list) != 1 || list[0].ErrorMessage == "" {
			f.Errorf("%s: the message is no list: %v", name[Q](), err)
			return
		}
		got = list[0].ErrorCode
	}
	if problem.StatusCode != status || strings.TrimPrefix(got, "SVCSTG.SWR.") != code || problem.ErrorMessage == "" || problem.RequestId == "" {
		f.Errorf("%s: want %d %s, got %v", name[Q](), status, code, err)
	}
}

// name is that of a request's type.
func name[Q any]() string { return strings.TrimSuffix(reflect.TypeFor[Q]().Name(), "Request") }
