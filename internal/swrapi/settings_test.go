package swrapi_test

import "testing"

func TestSettings(t *testing.T) {
	w := open(t, options{})
	const address = "/v2/manage/settings"
	w.want("nobody", "GET "+address, nil, 200, `{"undelete_seconds":604800,"undelete_default":true,"retention_guard":false}`)
	w.want("admin", "PATCH "+address, `{"undelete_seconds":1209600}`, 200, `{"undelete_seconds":1209600,"undelete_default":false,"retention_guard":false}`)
	w.want("admin", "PATCH "+address, `{"retention_guard":true}`, 200, `{"undelete_seconds":1209600,"undelete_default":false,"retention_guard":true}`)
	w.want("admin", "PATCH "+address, `{}`, 200, `{"undelete_seconds":1209600,"undelete_default":false,"retention_guard":true}`)
	w.want("reader", "GET "+address, nil, 200, `{"undelete_seconds":1209600,"undelete_default":false,"retention_guard":true}`)
	w.want("stranger", "GET "+address, nil, 200, `{"undelete_seconds":604800,"undelete_default":true,"retention_guard":false}`)
	w.want("admin", "PATCH "+address, `{"undelete_seconds":null,"retention_guard":false}`, 200, `{"undelete_seconds":604800,"undelete_default":true,"retention_guard":false}`)
	for _, bad := range []string{`-1`, `1.5`, `"7d"`, `31536001`, `1e30`, `true`} {
		w.refused("admin", "PATCH "+address, `{"undelete_seconds":`+bad+`}`, 400, "4000014")
	}
	w.refused("admin", "PATCH "+address, `{"retention_guard":"yes"}`, 400, "4001018")
	w.refused("manager", "PATCH "+address, `{"retention_guard":true}`, 403, "4039002")
}
