package server

import (
	"flag"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// Config is everything an operator can set. Load makes one; its keys, their
// defaults and units are described in docs/configuration.md.
type Config struct {
	Data           string
	Listen         string
	AdminListen    string
	ExternalURL    string
	AllowPlainHTTP bool
	TrustedProxies []netip.Prefix
	Database       string
	MasterKeyFile  string
	Region         string
	TLS            TLS
	Log            Log
	Limits         Limits
	Tokens         Tokens
	Signatures     Signatures
	Uploads        Uploads
	Archives       Archives
	Charts         Charts
	Collection     Collection
	Organizations  Organizations
	Retention      Retention
	Quotas         Quotas
	Sharing        Sharing
	Logins         Logins
	Credentials    Credentials
	Triggers       Triggers
	Outbound       Outbound
	Storage        Storage
	Errors         string // of the management API: list or object

	secrets secrets
	origins map[string]string // key -> where its value came from; absent: default
	ignored []string          // BERTH_ variables that mean nothing
}

// TLS names the certificate; both files or neither.
type TLS struct{ Cert, Key string }

// Log says what is logged and how.
type Log struct {
	Level  slog.Level
	Format string // text or json
}

// Limits bound what one client can take.
type Limits struct {
	Requests      int           // served at once
	UploadMemory  Size          // buffers of all uploads together
	CacheMemory   Size          // manifests that are read often
	Header        Size          // of one request
	HeaderTimeout time.Duration // to send it
	Idle          time.Duration // between two requests of one connection
	Progress      time.Duration // for one read or write of a body
	Drain         time.Duration // for the requests in flight when the server ends
}

// Tokens are those of the docker token flow and those of the management API.
type Tokens struct{ Life, ManagementLife time.Duration }

// Signatures of requests of the management API.
type Signatures struct {
	RefuseReplay bool // one that changes something counts once
}

// Archives of images that are uploaded.
type Archives struct{ MaxSize Size }

// Charts in chart groups.
type Charts struct {
	MaxSize     Size // of one archive
	CacheMemory Size // indexes of groups that are read often
	PerAccount  int  // chart groups; 0: no limit
}

// Uploads that are not finished.
type Uploads struct {
	Life time.Duration
	Open int // of one user or key
}

// Collection of what nothing refers to.
type Collection struct {
	Grace, Undelete, Sweep time.Duration
	KeepUntagged           bool
}

// Organizations: who may create them, how many, and whether a push does.
type Organizations struct {
	CreateOnPush bool
	UsersCreate  bool // every user, not administrators alone
	PerAccount   int  // 0: no limit
}

// Retention bounds the numbers in retention policies.
type Retention struct {
	Days int // that tags stay at most
	Num  int // of tags that stay at most
}

// Quotas bound what users put into the registry; 0 is no limit.
type Quotas struct {
	Repositories int // of one account
	Tags         int // of one repository
	Shares       int // of one repository
}

// Sharing of repositories with other accounts.
type Sharing struct {
	AllowUnknownTargets bool // such as an account that does not exist yet
}

// Logins to the registry that clients ask the management API for.
type Logins struct{ Life time.Duration }

// Credentials that users make for themselves to log in by.
type Credentials struct {
	MaxLife        time.Duration // of those that expire
	AllowUnlimited bool          // some may never
}

// Triggers that change workloads in clusters.
type Triggers struct {
	Deadline    time.Duration // of a rollout without progress
	InsecureTLS bool          // accounts may register clusters whose certificates are not checked
}

// Outbound says which addresses are connected to where users choose the target.
type Outbound struct {
	Allow []netip.Prefix // although they are of this machine or its network alone
	Deny  []netip.Prefix
}

// Storage keeps room for the database to delete.
type Storage struct {
	ReserveBytes   Size
	ReservePercent int
}

// secrets come from the environment alone and are never printed.
type secrets struct {
	masterKey     string
	adminPassword string
}

// A Key is one setting by its name in the file, bound to one Config.
type Key struct {
	Name  string // dotted: log.level
	Value flag.Value
	Usage string // one line, for help
}

// Env is the key's environment variable.
func (k Key) Env() string {
	return "BERTH_" + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// Flag is the key's flag of `berth serve`, without dashes.
func (k Key) Flag() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(k.Name)
}

// The forms of errors of the management API.
const (
	errorList   = "list"
	errorObject = "object"
)

// Default is a configuration for one machine, reachable from that machine.
func Default() Config {
	return Config{
		Data:          "data",
		Listen:        "127.0.0.1:5000",
		Region:        "region-1",
		Log:           Log{Level: slog.LevelInfo, Format: "text"},
		Limits:        Limits{Requests: 4096, UploadMemory: 64 << 20, CacheMemory: 32 << 20, Header: 64 << 10, HeaderTimeout: 10 * time.Second, Idle: 2 * time.Minute, Progress: 30 * time.Second, Drain: 30 * time.Second},
		Tokens:        Tokens{Life: time.Hour, ManagementLife: 24 * time.Hour},
		Uploads:       Uploads{Life: 24 * time.Hour, Open: 1000},
		Archives:      Archives{MaxSize: 10 << 30},
		Charts:        Charts{MaxSize: 20 << 20, CacheMemory: 64 << 20, PerAccount: 100},
		Collection:    Collection{Grace: 24 * time.Hour, Undelete: 7 * 24 * time.Hour, Sweep: time.Minute},
		Organizations: Organizations{PerAccount: 5},
		Retention:     Retention{Days: 365, Num: 1000},
		Quotas:        Quotas{Shares: 500},
		Logins:        Logins{Life: 24 * time.Hour},
		Credentials:   Credentials{MaxLife: 365 * 24 * time.Hour},
		Triggers:      Triggers{Deadline: 10 * time.Minute},
		Storage:       Storage{ReserveBytes: 1 << 30, ReservePercent: 2},
		Errors:        errorList,
	}
}

// Keys lists every setting of c in the order of the documentation.
func (c *Config) Keys() []Key {
	return []Key{
		{"data", (*textValue)(&c.Data), "`directory` that holds everything"},
		{"listen", (*textValue)(&c.Listen), "`host:port` to serve on"},
		{"admin_listen", (*textValue)(&c.AdminListen), "`host:port` for metrics and profiles alone"},
		{"external_url", (*textValue)(&c.ExternalURL), "`url` by which clients reach the server, where it differs from what they send"},
		{"allow_plain_http", (*boolValue)(&c.AllowPlainHTTP), "serve without TLS on addresses other than loopback"},
		{"trusted_proxies", (*prefixesValue)(&c.TrustedProxies), "`networks` whose X-Forwarded headers count"},
		{"database", (*databaseValue)(&c.Database), "`url` of the database: postgres://... or sqlite:PATH"},
		{"master_key_file", (*textValue)(&c.MasterKeyFile), "`file` with the key that seals stored secrets"},
		{"region", (*textValue)(&c.Region), "`name` of the region and of each account's first project"},
		{"errors", (*textValue)(&c.Errors), "`form` of the management API's errors: list or object"},
		{"tls.cert", (*textValue)(&c.TLS.Cert), "PEM `file` with the certificate chain"},
		{"tls.key", (*textValue)(&c.TLS.Key), "PEM `file` with the certificate's private key"},
		{"log.level", (*levelValue)(&c.Log.Level), "`level`: debug, info, warn or error"},
		{"log.format", (*textValue)(&c.Log.Format), "`format`: text or json"},
		{"limits.requests", (*intValue)(&c.Limits.Requests), "`number` of requests served at once"},
		{"limits.upload_memory", &c.Limits.UploadMemory, "`size` of the buffers of all uploads together"},
		{"limits.cache_memory", &c.Limits.CacheMemory, "`size` of the cache of manifests that are read often"},
		{"limits.header", &c.Limits.Header, "`size` of a request's header at most"},
		{"limits.header_timeout", (*durationValue)(&c.Limits.HeaderTimeout), "`time` a client has to send a request's header"},
		{"limits.idle", (*durationValue)(&c.Limits.Idle), "`time` a connection may stay unused"},
		{"limits.progress", (*durationValue)(&c.Limits.Progress), "`time` one read or write of a body may take"},
		{"limits.drain", (*durationValue)(&c.Limits.Drain), "`time` requests in flight have when the server ends"},
		{"tokens.life", (*durationValue)(&c.Tokens.Life), "`time` a registry token is valid"},
		{"tokens.management_life", (*durationValue)(&c.Tokens.ManagementLife), "`time` a token of the management API is valid"},
		{"signatures.refuse_replay", (*boolValue)(&c.Signatures.RefuseReplay), "a signature that changes something counts once"},
		{"uploads.life", (*durationValue)(&c.Uploads.Life), "`time` an upload may stay untouched"},
		{"uploads.open", (*intValue)(&c.Uploads.Open), "`number` of unfinished uploads of one user or key"},
		{"archives.max_size", &c.Archives.MaxSize, "`size` of an uploaded archive of images at most"},
		{"charts.max_size", &c.Charts.MaxSize, "`size` of a Helm chart's archive at most"},
		{"charts.cache_memory", &c.Charts.CacheMemory, "`size` of the indexes of chart groups that are read often"},
		{"charts.per_account", (*intValue)(&c.Charts.PerAccount), "`number` of chart groups of one account, 0 for any"},
		{"collection.grace", (*durationValue)(&c.Collection.Grace), "`time` that something without reference is kept"},
		{"collection.undelete", (*durationValue)(&c.Collection.Undelete), "`time` that a deleted image can come back"},
		{"collection.sweep", (*durationValue)(&c.Collection.Sweep), "`time` between two looks for what is due"},
		{"collection.keep_untagged", (*boolValue)(&c.Collection.KeepUntagged), "an image without a tag stays until it is deleted by its digest"},
		{"organizations.create_on_push", (*boolValue)(&c.Organizations.CreateOnPush), "a push creates the organization as well"},
		{"organizations.users_create", (*boolValue)(&c.Organizations.UsersCreate), "every user may create organizations, not administrators alone"},
		{"organizations.per_account", (*intValue)(&c.Organizations.PerAccount), "`number` of organizations of one account, 0 for any"},
		{"retention.days", (*intValue)(&c.Retention.Days), "`number` of days that a retention policy can name"},
		{"retention.num", (*intValue)(&c.Retention.Num), "`number` of tags that a retention policy can name"},
		{"quotas.repositories", (*intValue)(&c.Quotas.Repositories), "`number` of repositories of one account, 0 for any"},
		{"quotas.tags", (*intValue)(&c.Quotas.Tags), "`number` of tags of one repository, 0 for any"},
		{"quotas.shares", (*intValue)(&c.Quotas.Shares), "`number` of accounts and organizations that one repository is shared with, 0 for any"},
		{"sharing.allow_unknown_targets", (*boolValue)(&c.Sharing.AllowUnknownTargets), "a repository may be shared with an account that does not exist yet"},
		{"logins.life", (*durationValue)(&c.Logins.Life), "`time` a login command is good for"},
		{"credentials.max_life", (*durationValue)(&c.Credentials.MaxLife), "`time` an access credential is good for at most"},
		{"credentials.allow_unlimited", (*boolValue)(&c.Credentials.AllowUnlimited), "access credentials may never expire"},
		{"triggers.deadline", (*durationValue)(&c.Triggers.Deadline), "`time` without progress after which a rollout has failed, where the workload does not say"},
		{"triggers.insecure_tls", (*boolValue)(&c.Triggers.InsecureTLS), "accounts may register clusters whose certificates are not checked"},
		{"outbound.allow", (*prefixesValue)(&c.Outbound.Allow), "`networks` that targets chosen by users may be in although they are loopback or link-local"},
		{"outbound.deny", (*prefixesValue)(&c.Outbound.Deny), "`networks` that targets chosen by users may not be in"},
		{"storage.reserve_bytes", &c.Storage.ReserveBytes, "free `size` below which pushes are refused"},
		{"storage.reserve_percent", (*intValue)(&c.Storage.ReservePercent), "free `percent` below which pushes are refused"},
	}
}

// DatabaseURL is the database to open: the configured one, or a file in the
// data directory.
func (c *Config) DatabaseURL() string {
	if c.Database != "" {
		return c.Database
	}
	return "sqlite:" + filepath.Join(c.Data, "berth.db")
}

// masterKeyFile is where the master key stands unless the environment has it.
func (c *Config) masterKeyFile() string {
	if c.MasterKeyFile != "" {
		return c.MasterKeyFile
	}
	return filepath.Join(c.Data, "master.key")
}

// IgnoredVariables names BERTH_ environment variables that set nothing:
// probably a slip of the pen, worth a warning.
func (c *Config) IgnoredVariables() []string { return c.ignored }
