package server

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/swrapi"
	"berth.dev/berth/internal/web"
)

// The roles, in the order of least to most that they may do. Reader, editor
// and manager have 1, 3 and 7 on the organization acme, and the three after
// them the same on its repository app alone; stranger is the administrator of
// another account.
var roles = []string{"anonymous", "stranger", "nobody", "app-reader", "app-editor", "app-manager", "reader", "editor", "manager", "admin"}

// A need is what a caller must have.
type need string

const (
	login      need = "a login"
	administer need = "to be an administrator of the account"
	install    need = "to be an administrator of the first account"

	// Rights on the organization alone.
	readOrg   need = "1 on the organization"
	editOrg   need = "3 on the organization"
	manageOrg need = "7 on the organization"

	// The greater of the rights on the organization and on the repository.
	read    need = "1"
	edit    need = "3"
	manage  need = "7"
	toGrant need = "3 on the organization or 7 on the repository"
)

// meets says which roles have what is needed. It is the permission chapter of
// the API, written down independently of the code.
var meets = map[need][]string{
	login:      {"stranger", "nobody", "app-reader", "app-editor", "app-manager", "reader", "editor", "manager", "admin"},
	administer: {"stranger", "admin"}, // each in its own account
	install:    {"admin"},
	readOrg:    {"reader", "editor", "manager", "admin"},
	editOrg:    {"editor", "manager", "admin"},
	manageOrg:  {"manager", "admin"},
	read:       {"app-reader", "app-editor", "app-manager", "reader", "editor", "manager", "admin"},
	edit:       {"app-editor", "app-manager", "editor", "manager", "admin"},
	manage:     {"app-manager", "manager", "admin"},
	toGrant:    {"app-manager", "editor", "manager", "admin"},
}

// A row says who may call a route, and how those who may are answered: to a
// body that is no JSON, or, without a body, by something that is not there or
// must not go. Nothing changes, and the answer proves that the right is looked
// at before the rest.
type row struct {
	needs  need
	path   string // values for the pattern's names, "name=value …"
	body   string
	status int
	code   string // of the answer to those who may, "" where it is a success
}

const (
	noJSON  = "nonsense"
	badBody = "4001018"

	noArchive = "archive_id=0123456789abcdef0123456789abcdef"
)

// whoMay is the one table of who may do what in the management API, by the
// names of its routes.
var whoMay = map[string]row{
	"CreateNamespace":  {administer, "", noJSON, 400, badBody},
	"ListNamespaces":   {login, "", "", 200, ""},
	"ShowNamespace":    {readOrg, "", "", 200, ""},
	"UpdateNamespace":  {manageOrg, "", noJSON, 400, badBody},
	"DeleteNamespaces": {manageOrg, "", "", 406, "4060053"},

	"CreateNamespaceAuth": {manageOrg, "", noJSON, 400, badBody},
	"ShowNamespaceAuth":   {readOrg, "", "", 200, ""},
	"UpdateNamespaceAuth": {manageOrg, "", noJSON, 400, badBody},
	"DeleteNamespaceAuth": {manageOrg, "", noJSON, 400, badBody},

	"CreateUserRepositoryAuth": {toGrant, "", noJSON, 400, badBody},
	"ShowUserRepositoryAuth":   {read, "", "", 200, ""},
	"UpdateUserRepositoryAuth": {toGrant, "", noJSON, 400, badBody},
	"DeleteUserRepositoryAuth": {toGrant, "", noJSON, 400, badBody},

	"CreateRepo":             {editOrg, "", noJSON, 400, badBody},
	"ShowRepository":         {read, "", "", 200, ""},
	"UpdateRepo":             {edit, "", noJSON, 400, badBody},
	"DeleteRepo":             {manage, "", "", 406, "4060012"},
	"ListReposDetails":       {login, "", "", 200, ""},
	"ListSharedReposDetails": {login, "", "", 200, ""},
	"ListRepoDetails":        {login, "", "", 200, ""},
	"ListSharedRepoDetails":  {login, "", "", 200, ""},

	"ListRepositoryTags":  {read, "", "", 200, ""},
	"ListRepositoryTag":   {read, "", "", 200, ""},
	"ShowRepoTag":         {read, "", "", 200, ""},
	"CreateRepoTag":       {editOrg, "", noJSON, 400, badBody},
	"DeleteRepoTag":       {manage, "tag=none", "", 404, "4040048"},
	"ListRepoAccessories": {read, "", "", 200, ""},
	"ListReferences":      {read, "", "", 200, ""},

	"ListDeletedTags": {read, "", "", 200, ""},
	"ListRepoHistory": {read, "", "", 200, ""},
	"ListTagHistory":  {read, "", "", 200, ""},
	"RestoreRepoTag":  {editOrg, "tag=none", "", 404, "4040048"},
	"RollbackRepoTag": {editOrg, "", noJSON, 400, badBody},
	"RollbackRepo":    {manage, "", noJSON, 400, badBody},

	"CreateRepoDomains": {manage, "", noJSON, 400, badBody},
	"ListRepoDomains":   {read, "", "", 200, ""},
	"ShowAccessDomain":  {read, "", "", 200, ""},
	"UpdateRepoDomains": {manage, "", noJSON, 400, badBody},
	"DeleteRepoDomains": {manage, "", "", 404, "4040091"},
	"CreateRepoShare":   {manage, "", noJSON, 400, badBody},
	"ListRepoShares":    {read, "", "", 200, ""},
	"GetRepoShare":      {read, "", "", 404, "4040091"},
	"UpdateRepoShare":   {manage, "", noJSON, 400, badBody},
	"DeleteRepoShare":   {manage, "", "", 404, "4040091"},

	"CreateTrigger":       {edit, "", noJSON, 400, badBody},
	"ListTriggersDetails": {read, "", "", 200, ""},
	"ShowTrigger":         {read, "", "", 404, "4040113"},
	"UpdateTrigger":       {edit, "", noJSON, 400, badBody},
	"DeleteTrigger":       {edit, "", "", 404, "4040113"},
	"RunTrigger":          {edit, "", noJSON, 400, badBody},

	"CreateCluster":       {administer, "", noJSON, 400, badBody},
	"ListClusters":        {login, "", "", 200, ""},
	"ShowClusterManifest": {login, "", "", 200, ""},
	"ShowCluster":         {login, "", "", 404, "4040113"},
	"UpdateCluster":       {administer, "", noJSON, 400, badBody},
	"DeleteCluster":       {administer, "", "", 404, "4040113"},
	"CheckCluster":        {administer, "", "", 404, "4040113"},

	"CreateRetention":        {manage, "", noJSON, 400, badBody},
	"ListRetentions":         {read, "", "", 200, ""},
	"ListRetentionHistories": {read, "", "", 200, ""},
	"ShowRetention":          {read, "", "", 404, "4040113"},
	"UpdateRetention":        {manage, "", noJSON, 400, badBody},
	"DeleteRetention":        {manage, "", "", 404, "4040113"},
	"SimulateRetention":      {manage, "", noJSON, 400, badBody},
	"ShowRetentionStatus":    {read, "", "", 404, "4040113"},
	"ConfirmRetention":       {manage, "", "", 404, "4040113"},

	"CreateImageArchive":     {editOrg, "", noJSON, 400, badBody},
	"ListImageArchives":      {editOrg, "", "", 200, ""},
	"ShowImageArchive":       {editOrg, noArchive, "", 404, "4040043"},
	"UploadImageArchivePart": {editOrg, noArchive, "", 404, "4040043"},
	"PutImageArchivePart":    {editOrg, noArchive, "", 404, "4040043"},
	"FinishImageArchive":     {editOrg, noArchive, noJSON, 400, badBody},
	"DeleteImageArchive":     {editOrg, noArchive, "", 404, "4040043"},
	"DownloadImageArchive":   {read, "", "", 200, ""},
	"HeadImageArchive":       {read, "", "", 200, ""},

	"ListSyncRegions":               {login, "", "", 200, ""},
	"CreateImageSyncRepo":           {manage, "", noJSON, 400, badBody},
	"ListImageAutoSyncReposDetails": {read, "", "", 200, ""},
	"DeleteImageSyncRepo":           {manage, "", noJSON, 400, badBody},
	"ShowSyncDifferences":           {read, "", "", 400, "4001014"},
	"ReconcileSync":                 {manage, "", noJSON, 400, badBody},
	"CreateManualImageSyncRepo":     {manage, "", noJSON, 400, badBody},
	"ShowSyncJob":                   {read, "", "", 200, ""},

	"CreateRegion": {install, "", noJSON, 400, badBody},
	"ShowRegion":   {install, "region=none", "", 404, "4040113"},
	"UpdateRegion": {install, "region=none", noJSON, 400, badBody},
	"DeleteRegion": {install, "region=none", "", 404, "4040113"},
	"CheckRegion":  {install, "region=none", "", 404, "4040113"},

	"CreateNamespaceWebhook":         {manageOrg, "", noJSON, 400, badBody},
	"ListNamespaceWebhooks":          {readOrg, "", "", 200, ""},
	"ShowNamespaceWebhook":           {readOrg, "", "", 404, "4040113"},
	"UpdateNamespaceWebhook":         {manageOrg, "", noJSON, 400, badBody},
	"DeleteNamespaceWebhook":         {manageOrg, "", "", 404, "4040113"},
	"TestNamespaceWebhook":           {manageOrg, "", "", 404, "4040113"},
	"ListNamespaceWebhookDeliveries": {readOrg, "", "", 404, "4040113"},
	"ShowNamespaceWebhookDelivery":   {readOrg, "", "", 404, "4040113"},
	"RedeliverNamespaceWebhook":      {manageOrg, "", "", 404, "4040113"},
	"CreateRepoWebhook":              {manage, "", noJSON, 400, badBody},
	"ListRepoWebhooks":               {read, "", "", 200, ""},
	"ShowRepoWebhook":                {read, "", "", 404, "4040113"},
	"UpdateRepoWebhook":              {manage, "", noJSON, 400, badBody},
	"DeleteRepoWebhook":              {manage, "", "", 404, "4040113"},
	"TestRepoWebhook":                {manage, "", "", 404, "4040113"},
	"ListRepoWebhookDeliveries":      {read, "", "", 404, "4040113"},
	"ShowRepoWebhookDelivery":        {read, "", "", 404, "4040113"},
	"RedeliverRepoWebhook":           {manage, "", "", 404, "4040113"},

	"ListJobs":  {administer, "", "", 200, ""},
	"RetryJob":  {administer, "", "", 404, "4040113"},
	"CancelJob": {administer, "", "", 404, "4040113"},

	"CreateChartGroup":        {administer, "", noJSON, 400, badBody},
	"ListChartGroups":         {login, "", "", 200, ""},
	"ShowChartGroup":          {readOrg, "", "", 200, ""},
	"UpdateChartGroup":        {manageOrg, "", noJSON, 400, badBody},
	"DeleteChartGroup":        {manageOrg, "", "", 406, "4060053"},
	"CreateChartGroupAuth":    {manageOrg, "", noJSON, 400, badBody},
	"ShowChartGroupAuth":      {readOrg, "", "", 200, ""},
	"UpdateChartGroupAuth":    {manageOrg, "", noJSON, 400, badBody},
	"DeleteChartGroupAuth":    {manageOrg, "", noJSON, 400, badBody},
	"ListGroupCharts":         {readOrg, "", "", 200, ""},
	"ShowGroupChart":          {readOrg, "", "", 200, ""},
	"ShowGroupChartVersion":   {readOrg, "", "", 200, ""},
	"SetChartMirror":          {manageOrg, "", noJSON, 400, badBody},
	"ShowChartMirror":         {readOrg, "", "", 404, "4040113"},
	"DeleteChartMirror":       {manageOrg, "", "", 404, "4040113"},
	"RunChartMirror":          {manageOrg, "", "", 404, "4040113"},
	"DeleteGroupChartVersion": {manageOrg, "version=9.9.9", "", 404, "4040048"},

	// One's own, and to administrators those of others: what is asked for is of nobody.
	"CreateAccessCredential": {login, "", noJSON, 400, badBody},
	"ListAccessCredentials":  {login, "", "", 200, ""},
	"ShowAccessCredential":   {administer, "", "", 404, "4040113"},
	"UpdateAccessCredential": {administer, "", `{"enabled":false}`, 404, "4040113"},
	"DeleteAccessCredential": {administer, "", "", 404, "4040113"},

	"ShowGuide": {login, "guide=login", "", 200, ""},

	"ShowDomainSettings":   {login, "", "", 200, ""},
	"UpdateDomainSettings": {administer, "", noJSON, 400, badBody},

	"CreateSecret":              {login, "", "", 200, ""},
	"CreateAuthorizationToken":  {login, "", "", 200, ""},
	"ListQuotas":                {login, "", "", 200, ""},
	"ShowShareFeatureGates":     {login, "", "", 200, ""},
	"ShowDomainOverview":        {login, "", "", 200, ""},
	"ShowDomainResourceReports": {login, "", "", 200, ""},
	"CheckAgency":               {login, "", "", 200, ""},
	"CreateAgency":              {administer, "", "", 204, ""}, // the agency stays: the second administrator is of another account
}

// town is a server in this process, with somebody in every role.
type town struct {
	t       *testing.T
	core    *core
	web     *web.Server
	tokens  map[string]string
	callers map[string]iam.Caller
	project map[string]string // of the account of a role
}

func newTown(t *testing.T) *town {
	t.Helper()
	cfg := config(t)
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	c, err := openCore(ctx, &cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w := &town{t: t, core: c, tokens: map[string]string{}, callers: map[string]iam.Caller{}, project: map[string]string{"anonymous": "0"}} // who asks comes before which project
	t.Cleanup(func() { w.must(c.close()) })
	_, err = c.bootstrap(ctx, testPassword)
	w.must(err)
	metrics := web.NewMetrics(nil)
	w.web = web.New(web.Options{Metrics: metrics}, mounts(&cfg, c, &web.Origin{}, metrics, prometheus.NewRegistry(), newHealth(c, cfg.Data))...)
	_, err = c.iam.CreateAccount(ctx, iam.Operator(), "other")
	w.must(err)
	for _, role := range roles {
		if role == "anonymous" {
			continue
		}
		account := "admin"
		if role == "stranger" {
			account = "other"
		}
		if role != "admin" {
			_, err := c.iam.CreateUser(ctx, iam.Operator(), account, role, testPassword, role == "stranger")
			w.must(err)
		}
		token, err := c.iam.PasswordToken(ctx, iam.UserRef{Name: role, Account: iam.AccountRef{Name: account}}, testPassword, "", iam.Scope{})
		w.must(err)
		projects, err := c.iam.Projects(ctx, iam.Operator(), account)
		w.must(err)
		w.tokens[role], w.callers[role], w.project[role] = token.Value, token.Caller, projects[0].ID
	}
	w.project["anonymous"] = w.project["admin"]
	admin := w.callers["admin"]
	_, err = c.registry.CreateOrg(ctx, admin, "acme")
	w.must(err)
	_, err = c.registry.CreateChartGroup(ctx, admin, registry.GroupSpec{Name: "team"})
	w.must(err)
	_, err = c.charts.Upload(ctx, admin, "team", chartArchive(t, "app", "1.0.0"), nil, false)
	w.must(err)
	w.push("acme/app", "v1")
	w.push("acme/secret", "v1")
	for role, right := range map[string]iam.Right{"reader": iam.Read, "editor": iam.Edit, "manager": iam.Manage} {
		w.must(c.registry.GrantOrg(ctx, admin, "acme", role, right))
		w.must(c.registry.GrantOrg(ctx, admin, "team", role, right))
		w.must(c.registry.GrantRepo(ctx, admin, "acme/app", "app-"+role, right))
	}
	return w
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// push stores a small image.
func (w *town) push(repo oci.Name, tag string) {
	w.t.Helper()
	ctx, who := w.t.Context(), w.callers["admin"]
	config := []byte("{}")
	d := oci.SHA256.FromBytes(config)
	_, err := w.core.registry.PutBlob(ctx, who, repo, int64(len(config)), bytes.NewReader(config), d)
	w.must(err)
	const image = "application/vnd.oci.image.manifest.v1+json"
	m := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[]}`, image, d)
	_, err = w.core.registry.PutManifest(ctx, who, repo, oci.Reference{Tag: tag}, nil, image, m)
	w.must(err)
}

// chartArchive makes a small chart.
func chartArchive(t *testing.T, name, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	text := "apiVersion: v2\nname: " + name + "\nversion: " + version + "\n"
	err := w.WriteHeader(&tar.Header{Name: name + "/Chart.yaml", Mode: 0o644, Size: int64(len(text))})
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = errors.Join(w.Close(), z.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// An outcome is an answer without what differs from one to the next.
type outcome struct {
	status int
	code   string // SVCSTG.SWR. is left out
	body   string
}

func (o outcome) String() string { return strings.TrimSpace(fmt.Sprintf("%d %s", o.status, o.code)) }

// call sends a request; header is names and values in turn.
func (w *town) call(role, method, path, body string, header ...string) outcome {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "http://registry.example"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if role != "anonymous" {
		r.Header.Set("X-Auth-Token", w.tokens[role])
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.web.ServeHTTP(rec, r)
	o := outcome{status: rec.Code, body: rec.Body.String()}
	var list []struct{ ErrorCode string }
	if rec.Code >= 400 && json.Unmarshal(rec.Body.Bytes(), &list) == nil && len(list) == 1 {
		o.code = strings.TrimPrefix(list[0].ErrorCode, "SVCSTG.SWR.")
	}
	return o
}

var inBraces = regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`)

// fill puts values into a pattern, the row's own before the usual ones.
func (w *town) fill(pattern, role string, changes ...string) string {
	values := map[string]string{
		"namespace": "acme", "repository": "app", "tag": "v1", "project_id": w.project[role], "resource_type": "store", "frequency": "daily",
		"access_domain": "other", "share_id": "77", "trigger": "none", "cluster": "none", "retention_id": "77", "upload_id": "none", "archive_id": "none", "job_id": "77", "webhook_id": "77", "delivery_id": "dlv_none", "region": "none",
		"credential": "000000000000", "guide": "login", "group": "team", "chart": "app", "version": "1.0.0",
	}
	for _, c := range changes {
		for pair := range strings.FieldsSeq(c) {
			name, value, _ := strings.Cut(pair, "=")
			values[name] = value
		}
	}
	return inBraces.ReplaceAllStringFunc(pattern, func(s string) string {
		name := inBraces.FindStringSubmatch(s)[1]
		if values[name] == "" && name != "project_id" {
			w.t.Errorf("there is no value for %s in %s", s, pattern)
		}
		return values[name]
	})
}

// A route of the management API belongs to a row of the table, and the other
// way round.
func managementRows(t *testing.T) map[swrapi.Route]row {
	t.Helper()
	rows := map[swrapi.Route]row{}
	for _, rt := range swrapi.Routes() {
		r, ok := whoMay[rt.Name]
		if !ok {
			t.Errorf("the table does not say who may %s", rt.Name)
			continue
		}
		rows[rt] = r
	}
	for name := range whoMay {
		if !slices.ContainsFunc(swrapi.Routes(), func(rt swrapi.Route) bool { return rt.Name == name }) {
			t.Errorf("the table has %s, which is not served", name)
		}
	}
	return rows
}

// One town for all: to make its people takes longer than to ask everything.
func TestRoles(t *testing.T) {
	w := newTown(t)
	for name, test := range map[string]func(*testing.T, *town){
		"every route as every role": everyRouteAsEveryRole,
		"the identity API":          identityRoles,
		"order of checks":           orderOfChecks,
		"strangers learn nothing":   strangersLearnNothing,
		"foreign projects":          foreignProjects,
		"lists are of the caller":   listsAreOfTheCaller,
	} {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
}

// everyRouteAsEveryRole compares each route of the management API, called in
// every role, with the table.
func everyRouteAsEveryRole(t *testing.T, w *town) {
	for rt, r := range managementRows(t) {
		for _, role := range roles {
			got := w.call(role, rt.Method, w.fill(rt.Pattern, role, r.path), r.body)
			want := outcome{status: r.status, code: r.code}
			switch {
			case role == "anonymous":
				want = outcome{status: 401, code: "SVCSTG.S2I.4019000"}
			case role == "stranger" && strings.Contains(rt.Pattern, "{namespace}"), role == "stranger" && strings.Contains(rt.Pattern, "{group}"):
				want = outcome{status: 403, code: "4039001"}
			case !slices.Contains(meets[r.needs], role):
				want = outcome{status: 403, code: "4039002"}
			}
			if got.status != want.status || got.code != want.code {
				t.Errorf("%s as %s, which needs %s: %s, want %s\n%.200s", rt.Name, role, r.needs, got, want, got.body)
			}
		}
	}
}

// foreignProjects are refused in the path and in the header, whoever asks.
func foreignProjects(t *testing.T, w *town) {
	for rt := range managementRows(t) {
		for _, role := range roles[1:] {
			foreign := "stranger"
			if role == "stranger" {
				foreign = "admin"
			}
			for _, id := range []string{w.project[foreign], "0123456789abcdef0123456789abcdef"} {
				if strings.Contains(rt.Pattern, "{project_id}") {
					path := w.fill(rt.Pattern, role, "project_id="+id)
					if got := w.call(role, rt.Method, path, ""); got.status != 403 || got.code != "4039001" {
						t.Errorf("%s %s as %s: %s", rt.Method, path, role, got)
					}
				}
				path := w.fill(rt.Pattern, role)
				if got := w.call(role, rt.Method, path, "", "X-Project-Id", id); got.status != 403 || got.code != "4039001" {
					t.Errorf("%s %s as %s with another's X-Project-Id: %s", rt.Method, path, role, got)
				}
			}
		}
	}
}

// orderOfChecks asks every route what it says first where several things
// are wrong: who asks, the names in the path, that the organization is there,
// the right, that the repository is there, and only then the rest.
func orderOfChecks(t *testing.T, w *town) {
	for rt, r := range managementRows(t) {
		if !strings.Contains(rt.Pattern, "{namespace}") {
			continue
		}
		inRepo := strings.Contains(rt.Pattern, "{repository")
		for _, role := range roles {
			expect := func(status int, code string, changes ...string) {
				t.Helper()
				if role == "anonymous" {
					status, code = 401, "SVCSTG.S2I.4019000"
				}
				path := w.fill(rt.Pattern, role, append([]string{r.path}, changes...)...)
				if got := w.call(role, rt.Method, path, noJSON); got.status != status || got.code != code {
					t.Errorf("%s %s as %s: %s, want %d %s\n%.200s", rt.Method, path, role, got, status, code, got.body)
				}
			}
			expect(400, "4001028", "namespace=A..b repository=a--b")
			if inRepo {
				expect(400, "4001029", "namespace=none repository=a--b")
			}
			expect(404, "4040058", "namespace=none repository=none")
			if !inRepo || role == "anonymous" || role == "stranger" {
				continue
			}
			// Whoever may not is not told that it is not there. The rights on
			// the repository app say nothing of others.
			might := slices.Contains(meets[r.needs], role) && !strings.HasPrefix(role, "app-")
			if might {
				expect(404, "4040010", "repository=none")
			} else {
				expect(403, "4039002", "repository=none")
			}
		}
	}
}

// strangersLearnNothing asks inside another account's organization for
// what is there, for what is not, and with a body of every kind: the answer is
// the same to the last byte.
func strangersLearnNothing(t *testing.T, w *town) {
	answers := map[string]string{} // body -> who got it
	for rt := range managementRows(t) {
		if !strings.Contains(rt.Pattern, "{namespace}") {
			continue
		}
		for _, repo := range []string{"app", "secret", "none"} {
			for _, more := range []string{"tag=v1", "tag=none", "retention_id=0", "access_domain=admin"} {
				for _, body := range []string{"", noJSON, "{}", "[]"} {
					path := w.fill(rt.Pattern, "stranger", "repository="+repo, more)
					got := w.call("stranger", rt.Method, path, body)
					if got.status != 403 || got.code != "4039001" {
						t.Errorf("%s %s %q: %s\n%s", rt.Method, path, body, got, got.body)
					}
					answers[got.body] = rt.Method + " " + path
				}
			}
		}
	}
	if len(answers) > 1 {
		t.Errorf("there are %d different answers: %v", len(answers), answers)
	}
}

// Lists show what the caller may see and nothing else.
func listsAreOfTheCaller(t *testing.T, w *town) {
	for role, want := range map[string]string{
		"stranger": "", "nobody": "", "app-reader": "app", "app-editor": "app", "app-manager": "app", "reader": "app secret", "editor": "app secret", "manager": "app secret", "admin": "app secret",
	} {
		for _, list := range []string{"/v2/manage/repos", "/v2/manage/repos?namespace=acme", "/v2/manage/repos?filter=namespace::acme", "/v3/manage/repos?namespace=acme"} {
			got := w.call(role, "GET", list, "")
			for _, name := range []string{"app", "secret"} {
				if shown, should := strings.Contains(got.body, `"name":"`+name+`"`), strings.Contains(want, name); shown != should {
					t.Errorf("%s as %s shows %s: %t, want %t: %s", list, role, name, shown, should, got.body)
				}
			}
		}
		visible := w.call(role, "GET", "/v2/manage/namespaces?filter=mode::visible", "")
		own := w.call(role, "GET", "/v2/manage/namespaces", "")
		if got := strings.Contains(visible.body, `"name":"acme"`); got != (want != "") {
			t.Errorf("the visible organizations of %s: %s", role, visible.body)
		}
		if got := strings.Contains(own.body, `"name":"acme"`); got != strings.Contains(want, "secret") {
			t.Errorf("the organizations of %s: %s", role, own.body)
		}
	}
}
