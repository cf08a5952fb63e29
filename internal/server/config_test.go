package server

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write puts a configuration file into a directory of the test.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "berth.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEachSourceCountsOverTheOneBefore(t *testing.T) {
	file := write(t, "region: of-file\nlog:\n  level: warn\n  format: json\ntrusted_proxies: [10.0.0.0/8, 192.168.1.1]\nlimits: {header: 16KiB}\n")
	c, err := Load(Sources{
		File:    file,
		Environ: []string{"BERTH_REGION=of-env", "BERTH_LOG_LEVEL=error", "BERTH_UPLOADS_LIFE=", "BERTH_LISTN=x", "BERTH_PORT_5000_TCP=x", "HOME=/"},
		Flags:   map[string]string{"log.level": "debug"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, k := range c.Keys() {
		if c.origins[k.Name] != "" {
			got[k.Name] = k.Value.String() + " " + strings.TrimPrefix(c.origins[k.Name], filepath.Dir(file)+"/")
		}
	}
	want := map[string]string{
		"region":          "of-env BERTH_REGION",
		"log.level":       "debug --log-level",
		"log.format":      "json berth.yaml:4",
		"trusted_proxies": "10.0.0.0/8,192.168.1.1/32 berth.yaml:5",
		"limits.header":   "16KiB berth.yaml:6",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"BERTH_LISTN"}, c.IgnoredVariables()); d != "" {
		t.Error(d)
	}
}

func TestConfigFileOfTheEnvironment(t *testing.T) {
	c, err := Load(Sources{Environ: []string{"BERTH_CONFIG=" + write(t, "region: here")}})
	if err != nil || c.Region != "here" {
		t.Errorf("region %q, %v", c.Region, err)
	}
}

func TestErrorsNameTheirPlace(t *testing.T) {
	for name, tt := range map[string]struct {
		file, env string
		flags     map[string]string
		want      string
	}{
		"unknown key":        {file: "data: x\n\n# no\nlisten_on: y\n", want: `berth\.yaml:4: unknown key listen_on \(did you mean listen\?\)$`},
		"nothing near":       {file: "garlic: y\n", want: `berth\.yaml:1: unknown key garlic$`},
		"unknown nested key": {file: "listen: 127.0.0.1:1\nlog:\n  # level: no\n  lvel: info\n", want: `berth\.yaml:4: unknown key log\.lvel \(did you mean log\.level\?\)`},
		"same key elsewhere": {file: "limits:\n  drain: 1s\ntls:\n  drain: 1s\n", want: `berth\.yaml:4: unknown key tls\.drain`},
		"flow style":         {file: "data: x\ntls: {crt: x}\n", want: `berth\.yaml:2: unknown key tls\.crt`},
		"quoted key":         {file: "\"dta\": x\n", want: `berth\.yaml:1: unknown key dta \(did you mean data\?\)`},
		"value":              {file: "data: x\nlimits:\n  header: 10 potatoes\n", want: `berth\.yaml:3: limits\.header: "10 potatoes" is not a size`},
		"section as value":   {file: "log: info\n", want: `berth\.yaml:1: unknown key log`},
		"value as section":   {file: "data:\n  here: x\n", want: `berth\.yaml:2: unknown key data\.here`},
		"too deep":           {file: "log:\n  level:\n    of: x\n", want: `line 2: log\.level holds keys`},
		"twice":              {file: "data: x\ndata: y\n", want: `line 2.*data`},
		"no YAML":            {file: "data: [x\n", want: `not valid YAML: .*line`},
		"a list":             {file: "- data\n", want: `keys and values`},
		"environment":        {env: "BERTH_LIMITS_DRAIN=soon", want: `BERTH_LIMITS_DRAIN: "soon" is not a time`},
		"flag":               {flags: map[string]string{"log.level": "loud"}, want: `--log-level: "loud" is none of`},
		"two at once":        {file: "a: 1\nb: 2\n", want: `unknown key a\b.*\n.*unknown key b`},
		"no file":            {env: "BERTH_CONFIG=/nowhere/berth.yaml", want: `/nowhere/berth\.yaml`},
		"password file":      {env: "BERTH_ADMIN_PASSWORD_FILE=/nowhere/password", want: `BERTH_ADMIN_PASSWORD_FILE: `},
	} {
		t.Run(name, func(t *testing.T) {
			from := Sources{Environ: []string{tt.env}, Flags: tt.flags}
			if tt.file != "" {
				from.File = write(t, tt.file)
			}
			_, err := Load(from)
			if err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
				t.Errorf("error %v, want one like %s", err, tt.want)
			}
		})
	}
}

func TestValidationNamesTheKey(t *testing.T) {
	for setting, key := range map[string]string{
		"data=":                        "", // empty is absent in the environment
		"listen=5000":                  "listen: ",
		"listen=0.0.0.0:5000":          "listen: ",
		"listen=:5000":                 "listen: ",
		"listen=127.0.0.1:99999":       "listen: ",
		"listen=localhost:5000":        "",
		"listen=[::1]:5000":            "",
		"admin_listen=127.0.0.1:5000":  "admin_listen: ",
		"external_url=example.com":     "external_url: ",
		"external_url=https://a/path":  "external_url: ",
		"external_url=https://a.b:8/":  "",
		"region=Region":                "region: ",
		"tls.cert=x":                   "tls.key: ",
		"tls.key=x":                    "tls.cert: ",
		"log.format=xml":               "log.format: ",
		"limits.header=1B":             "limits.header: ",
		"limits.requests=0":            "limits.requests: ",
		"limits.idle=2h":               "limits.idle: ",
		"tokens.life=1m":               "tokens.life: ",
		"uploads.life=2d":              "collection.grace: ",
		"storage.reserve_percent=80":   "storage.reserve_percent: ",
		"organizations.per_account=-1": "organizations.per_account: ",
		"retention.days=0":             "retention.days: ",
		"retention.num=-1":             "retention.num: ",
		"quotas.shares=-1":             "quotas.shares: ",
		"logins.life=1s":               "logins.life: ",
		"triggers.deadline=2h":         "triggers.deadline: ",
		"database=mysql://x":           "BERTH_DATABASE: ",
		"trusted_proxies=here":         "BERTH_TRUSTED_PROXIES: ",
		"allow_plain_http=perhaps":     "BERTH_ALLOW_PLAIN_HTTP: ",
	} {
		name, value, _ := strings.Cut(setting, "=")
		_, err := Load(Sources{Environ: []string{Key{Name: name}.Env() + "=" + value}})
		if key == "" && err != nil || key != "" && (err == nil || !strings.HasPrefix(err.Error(), key)) {
			t.Errorf("%s: error %v, want one that begins with %q", setting, err, key)
		}
	}
	if _, err := Load(Sources{Environ: []string{"BERTH_LISTEN=:5000", "BERTH_ALLOW_PLAIN_HTTP=1"}}); err != nil {
		t.Error(err)
	}
}

func TestAdminPasswordFile(t *testing.T) {
	path := write(t, "a password with spaces \n")
	c, err := Load(Sources{Environ: []string{"BERTH_ADMIN_PASSWORD_FILE=" + path}})
	if err != nil || c.secrets.adminPassword != "a password with spaces " {
		t.Errorf("%q, %v", c.secrets.adminPassword, err)
	}
	for _, environ := range [][]string{
		{"BERTH_ADMIN_PASSWORD_FILE=" + path, "BERTH_ADMIN_PASSWORD=x"},
		{"BERTH_ADMIN_PASSWORD_FILE=" + write(t, "\n")},
		{"BERTH_ADMIN_PASSWORD_FILE=" + write(t, strings.Repeat("x", maxFile+1))},
	} {
		if _, err := Load(Sources{Environ: environ}); err == nil {
			t.Errorf("%v: no error", environ)
		}
	}
}

func TestPrintGivesTheSameConfiguration(t *testing.T) {
	file := write(t, "data: \"x: y # z\"\ntrusted_proxies: [10.0.0.0/8]\nlimits:\n  idle: 90s\nallow_plain_http: true\nstorage: {reserve_bytes: 5GB}\n")
	c, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := c.Print(&text); err != nil {
		t.Fatal(err)
	}
	again, err := Load(Sources{File: write(t, text.String())})
	if err != nil {
		t.Fatalf("%v in\n%s", err, &text)
	}
	again.origins, c.origins = nil, nil
	if !reflect.DeepEqual(c, again) {
		t.Errorf("%+v\n%+v", c, again)
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	c, err := Load(Sources{Environ: []string{
		"BERTH_DATABASE=postgres://berth:hunter2@db/berth?sslmode=disable&password=hunter2",
		"BERTH_MASTER_KEY=hunter2", "BERTH_ADMIN_PASSWORD=hunter2",
	}})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := c.Print(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "postgres://berth:hidden@db/berth?") {
		t.Errorf("the rest of the URL is not shown:\n%s", &text)
	}
	for _, s := range []string{text.String(), reflect.ValueOf(c.Settings()).String()} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("secret in %s", s)
		}
	}
	for _, bad := range []string{"BERTH_DATABASE=user:hunter2@db", "BERTH_DATABASE=postgres://a:hunter2@[bad"} {
		if _, err := Load(Sources{Environ: []string{bad}}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
	}
}

// leaves are the addresses of everything in a configuration that can be set.
func leaves(v reflect.Value) map[any]string {
	out := map[any]string{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == v.Type().PkgPath() {
			for p, name := range leaves(v.Field(i)) {
				out[p] = f.Name + "." + name
			}
			continue
		}
		out[v.Field(i).Addr().Pointer()] = f.Name
	}
	return out
}

func TestEveryFieldHasOneKey(t *testing.T) {
	c := Default()
	fields := leaves(reflect.ValueOf(&c).Elem())
	for _, k := range c.Keys() {
		p := any(reflect.ValueOf(k.Value).Pointer())
		if fields[p] == "" {
			t.Errorf("key %s sets no field, or one that another key sets", k.Name)
		}
		delete(fields, p)
		if !strings.Contains(k.Usage, "`") && reflect.TypeOf(k.Value) != reflect.TypeFor[*boolValue]() {
			t.Errorf("the usage of %s does not say what its value is", k.Name)
		}
	}
	for _, name := range fields {
		t.Errorf("field %s has no key", name)
	}
}

func TestDocumentationHasEveryKeyAndDefault(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `(BERTH_[A-Z_]+)` \\| (?:`([^`]+)` )?\\| ")
	documented := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = m[2:]
	}
	c := Default()
	for _, k := range c.Keys() {
		if d := cmp.Diff([]string{k.Env(), k.Value.String()}, documented[k.Name]); d != "" {
			t.Errorf("%s: %s", k.Name, d)
		}
		delete(documented, k.Name)
	}
	for name := range documented {
		t.Errorf("%s is documented and is no key", name)
	}
	for _, name := range []string{envConfig, envMasterKey, envAdminPassword, envAdminPasswordFile} {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not documented", name)
		}
	}
}

func TestDefaultsAreValid(t *testing.T) {
	c, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if c.DatabaseURL() != "sqlite:data/berth.db" || c.Limits.Drain != 30*time.Second {
		t.Errorf("%+v", c)
	}
}
