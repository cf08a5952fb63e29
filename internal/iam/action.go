package iam

import (
	"strings"
	"sync"
)

// Right is what a grant gives: read, edit or manage, each with all below it.
type Right int64

// The rights, with the numbers that clients use.
const (
	None   Right = 0
	Read   Right = 1
	Edit   Right = 3
	Manage Right = 7
)

// Valid reports whether r can be granted.
func (r Right) Valid() bool { return r == Read || r == Edit || r == Manage }

// String is "1 (read)", "3 (edit)", "7 (manage)" or "0 (none)".
func (r Right) String() string {
	switch {
	case r >= Manage:
		return "7 (manage)"
	case r >= Edit:
		return "3 (edit)"
	case r >= Read:
		return "1 (read)"
	}
	return "0 (none)"
}

// Action names what a caller wants to do, as policies of the management API
// spell it.
type Action string

// The actions on organizations, repositories and images.
const (
	CreateOrg      Action = "swr:namespace:createNamespace"
	DeleteOrg      Action = "swr:namespace:deleteNamespace"
	UpdateOrg      Action = "swr:namespace:updateNamespace"
	ListOrgs       Action = "swr:namespace:listNamespaces"
	ShowOrg        Action = "swr:namespace:getNamespace"
	GrantOrg       Action = "swr:namespace:createNamespaceAccess"
	ChangeOrgGrant Action = "swr:namespace:updateNamespaceAccess"
	RevokeOrg      Action = "swr:namespace:deleteNamespaceAccess"
	ShowOrgGrants  Action = "swr:namespace:getNamespaceAccess"
	UploadPage     Action = "swr:namespace:multipartUpload"

	CreateRepo      Action = "swr:repo:createRepo"
	DeleteRepo      Action = "swr:repo:deleteRepo"
	UpdateRepo      Action = "swr:repo:updateRepo"
	ShowRepo        Action = "swr:repo:getRepo"
	ListRepos       Action = "swr:repo:listRepos"
	ListSharedRepos Action = "swr:repo:listSharedRepos"
	Pull            Action = "swr:repo:download"
	Push            Action = "swr:repo:upload"
	ListTags        Action = "swr:repo:listRepoTags"
	CreateTag       Action = "swr:repo:createRepoTag"
	DeleteTag       Action = "swr:repo:deleteRepoTag"
	RestoreTag      Action = "swr:repo:restoreRepoTag"
	RollbackTag     Action = "swr:repo:rollbackRepoTag"
	RollbackRepo    Action = "swr:repo:rollbackRepo"
	GrantRepo       Action = "swr:repo:createRepoAccess"
	ChangeRepoGrant Action = "swr:repo:updateRepoAccess"
	RevokeRepo      Action = "swr:repo:deleteRepoAccess"
	ShowRepoGrants  Action = "swr:repo:getRepoAccess"
	CreateDomain    Action = "swr:repo:createRepoDomain"
	UpdateDomain    Action = "swr:repo:updateRepoDomain"
	DeleteDomain    Action = "swr:repo:deleteRepoDomain"
	ShowDomain      Action = "swr:repo:getRepoDomain"
	ListDomains     Action = "swr:repo:listRepoDomains"
	CreateShare     Action = "swr:repo:createRepoShare"
	UpdateShare     Action = "swr:repo:updateRepoShare"
	DeleteShare     Action = "swr:repo:deleteRepoShare"
	ShowShare       Action = "swr:repo:getRepoShare"
	ListShares      Action = "swr:repo:listRepoShares"
	CreateTrigger   Action = "swr:repo:createTrigger"
	UpdateTrigger   Action = "swr:repo:updateTrigger"
	DeleteTrigger   Action = "swr:repo:deleteTrigger"
	ShowTrigger     Action = "swr:repo:getTrigger"
	ListTriggers    Action = "swr:repo:listTriggers"
	RunTrigger      Action = "swr:repo:runTrigger"
	CreateRetention Action = "swr:repo:createRetention"
	UpdateRetention Action = "swr:repo:updateRetention"
	DeleteRetention Action = "swr:repo:deleteRetention"
	ShowRetention   Action = "swr:repo:getRetention"
	ListRetentions  Action = "swr:repo:listRetentions"
	ListRetained    Action = "swr:repo:listRetentionHistories"
	ConfirmRetained Action = "swr:repo:confirmRetention"
	TryRetention    Action = "swr:repo:simulateRetention"
	CreateSync      Action = "swr:repo:createAutoSyncRepoJob"
	SyncNow         Action = "swr:repo:createManualSyncRepoJob"
	DeleteSync      Action = "swr:repo:deleteAutoSyncRepoJob"
	ListSyncs       Action = "swr:repo:listAutoSyncRepoJobs"
	ShowSync        Action = "swr:repo:getSyncRepoJobInfo"

	CreateLogin  Action = "swr::createLoginSecret"
	CreateAgency Action = "swr::createAgency"

	CreateCluster Action = "swr::createCluster"
	UpdateCluster Action = "swr::updateCluster"
	DeleteCluster Action = "swr::deleteCluster"
	CheckCluster  Action = "swr::checkCluster"
	ShowCluster   Action = "swr::getCluster"
	ListClusters  Action = "swr::listClusters"

	ListQuotas   Action = "swr::listQuotas"
	ShowOverview Action = "swr::getDomainOverview"
	ShowReports  Action = "swr::getDomainResourceReports"

	ShowSettings   Action = "swr::getDomainSettings"
	UpdateSettings Action = "swr::updateDomainSettings"
	CreateWebhook  Action = "swr:repo:createWebhook"
	UpdateWebhook  Action = "swr:repo:updateWebhook"
	DeleteWebhook  Action = "swr:repo:deleteWebhook"
	ShowWebhook    Action = "swr:repo:getWebhook"
	ListWebhooks   Action = "swr:repo:listWebhooks"

	ListJobs  Action = "swr::listJobs"
	RetryJob  Action = "swr::retryJob"
	CancelJob Action = "swr::cancelJob"
)

// The actions on accounts, users and access keys.
const (
	CreateAccount Action = "iam:accounts:createAccount"
	UpdateAccount Action = "iam:accounts:updateAccount"
	ListAccounts  Action = "iam:accounts:listAccounts"
	ShowAccount   Action = "iam:accounts:getAccount"
	RotateKeys    Action = "iam:installation:rotateSigningKeys"
	CreateRegion  Action = "iam:installation:createRegion"
	UpdateRegion  Action = "iam:installation:updateRegion"
	DeleteRegion  Action = "iam:installation:deleteRegion"
	ShowRegion    Action = "iam:installation:getRegion"
	CreateUser    Action = "iam:users:createUser"
	UpdateUser    Action = "iam:users:updateUser"
	DeleteUser    Action = "iam:users:deleteUser"
	ShowUser      Action = "iam:users:getUser"
	ListUsers     Action = "iam:users:listUsers"
	SetPassword   Action = "iam:users:setUserPassword"
	ListProjects  Action = "iam:projects:listProjects"
	CreateKey     Action = "iam:credentials:createCredential"
	UpdateKey     Action = "iam:credentials:updateCredential"
	DeleteKey     Action = "iam:credentials:deleteCredential"
	ListKeys      Action = "iam:credentials:listCredentials"
	CreateSession Action = "iam:credentials:createTemporaryCredential"

	CreateCredential Action = "iam:credentials:createAccessCredential"
	UpdateCredential Action = "iam:credentials:updateAccessCredential"
	DeleteCredential Action = "iam:credentials:deleteAccessCredential"
	ListCredentials  Action = "iam:credentials:listAccessCredentials"

	ShowToken   Action = "iam:tokens:getToken"
	DeleteToken Action = "iam:tokens:deleteToken"
)

// A scope says whose right an action needs.
type scope uint8

const (
	onInstallation scope = iota + 1 // an administrator of the first account
	onAccount                       // an administrator of the account
	onUser                          // an administrator of the account, or the user himself
	inAccount                       // every user of the account
	onContent                       // the rights on organization and repository
)

// A rule is what an action needs. On content either right is enough: org on
// the organization, or repo on the repository; None is never enough. A list in
// the account that names an organization counts as an action on content if it
// has rights.
type rule struct {
	scope     scope
	org, repo Right
	public    bool   // also allowed on a public repository, for everyone
	shared    bool   // also allowed on a repository of another account that is shared with the caller's
	own       bool   // also allowed to every user about his own account
	users     bool   // also allowed to every user of the account, where Options.UsersCreate is set
	does      string // for sentences: "You may not <does> <name>"
}

// content is the rule of most actions: the greater of both rights counts.
func content(r Right, does string) rule { return rule{scope: onContent, org: r, repo: r, does: does} }

// organization is the rule where a right on a single repository is not enough.
func organization(r Right, does string) rule { return rule{scope: onContent, org: r, does: does} }

// rules is the one table of who may do what.
var rules = map[Action]rule{
	CreateOrg:      {scope: onAccount, users: true, does: "create organizations"},
	DeleteOrg:      organization(Manage, "delete"),
	UpdateOrg:      organization(Manage, "change"),
	ListOrgs:       {scope: inAccount, does: "list organizations"},
	ShowOrg:        organization(Read, "see"),
	GrantOrg:       organization(Manage, "grant rights on"),
	ChangeOrgGrant: organization(Manage, "change rights on"),
	RevokeOrg:      organization(Manage, "revoke rights on"),
	ShowOrgGrants:  organization(Read, "see the rights on"),
	UploadPage:     organization(Edit, "push to"),

	CreateRepo:      organization(Edit, "create"),
	DeleteRepo:      content(Manage, "delete"),
	UpdateRepo:      content(Edit, "change"),
	ShowRepo:        content(Read, "see"),
	ListRepos:       {scope: inAccount, org: Read, repo: Read, does: "list repositories"},
	ListSharedRepos: {scope: inAccount, does: "list shared repositories"},
	Pull:            {scope: onContent, org: Read, repo: Read, public: true, shared: true, does: "pull from"},
	Push:            organization(Edit, "push to"),
	ListTags:        content(Read, "list tags of"),
	CreateTag:       organization(Edit, "tag images in"),
	DeleteTag:       content(Manage, "delete images of"),
	RestoreTag:      organization(Edit, "restore tags of"),
	RollbackTag:     organization(Edit, "roll back tags of"),
	RollbackRepo:    content(Manage, "roll back"),
	GrantRepo:       {scope: onContent, org: Edit, repo: Manage, does: "grant rights on"},
	ChangeRepoGrant: {scope: onContent, org: Edit, repo: Manage, does: "change rights on"},
	RevokeRepo:      {scope: onContent, org: Edit, repo: Manage, does: "revoke rights on"},
	ShowRepoGrants:  content(Read, "see the rights on"),
	CreateDomain:    content(Manage, "share"),
	UpdateDomain:    content(Manage, "share"),
	DeleteDomain:    content(Manage, "end the sharing of"),
	ShowDomain:      content(Read, "see the sharing of"),
	ListDomains:     content(Read, "see the sharing of"),
	CreateShare:     content(Manage, "share"),
	UpdateShare:     content(Manage, "share"),
	DeleteShare:     content(Manage, "end the sharing of"),
	ShowShare:       content(Read, "see the sharing of"),
	ListShares:      content(Read, "see the sharing of"),
	CreateTrigger:   content(Edit, "create triggers on"),
	UpdateTrigger:   content(Edit, "change triggers on"),
	DeleteTrigger:   content(Edit, "delete triggers on"),
	ShowTrigger:     content(Read, "see the triggers on"),
	ListTriggers:    content(Read, "see the triggers on"),
	RunTrigger:      content(Edit, "run triggers on"),
	CreateRetention: content(Manage, "set the retention of"),
	UpdateRetention: content(Manage, "set the retention of"),
	DeleteRetention: content(Manage, "end the retention of"),
	ShowRetention:   content(Read, "see the retention of"),
	ListRetentions:  content(Read, "see the retention of"),
	ListRetained:    content(Read, "see the retention of"),
	ConfirmRetained: content(Manage, "set the retention of"),
	TryRetention:    content(Manage, "try the retention of"),
	CreateSync:      content(Manage, "synchronize"),
	SyncNow:         content(Manage, "synchronize"),
	DeleteSync:      content(Manage, "end the synchronization of"),
	ListSyncs:       content(Read, "see the synchronization of"),
	ShowSync:        {scope: inAccount, org: Read, repo: Read, does: "see the synchronization"},

	CreateLogin:   {scope: inAccount, does: "make a login command"},
	CreateCluster: {scope: onAccount, does: "register clusters"},
	UpdateCluster: {scope: onAccount, does: "change clusters"},
	DeleteCluster: {scope: onAccount, does: "delete clusters"},
	CheckCluster:  {scope: onAccount, does: "check clusters"},
	ShowCluster:   {scope: inAccount, does: "see clusters"},
	ListClusters:  {scope: inAccount, does: "list clusters"},

	CreateAgency: {scope: onAccount, does: "let the registry act for it"},
	ListQuotas:   {scope: inAccount, does: "see quotas"},
	ShowOverview: {scope: inAccount, does: "see the overview"},
	ShowReports:  {scope: inAccount, does: "see the reports"},

	ShowSettings:   {scope: inAccount, does: "see the settings of the account"},
	UpdateSettings: {scope: onAccount, does: "change the settings of the account"},
	CreateWebhook:  content(Manage, "create webhooks on"),
	UpdateWebhook:  content(Manage, "change webhooks on"),
	DeleteWebhook:  content(Manage, "delete webhooks on"),
	ShowWebhook:    content(Read, "see the webhooks on"),
	ListWebhooks:   content(Read, "see the webhooks on"),

	ListJobs:  {scope: onAccount, does: "list jobs"},
	RetryJob:  {scope: onAccount, does: "retry jobs"},
	CancelJob: {scope: onAccount, does: "cancel jobs"},

	CreateAccount: {scope: onInstallation, does: "create accounts"},
	UpdateAccount: {scope: onInstallation, does: "change accounts"},
	ListAccounts:  {scope: onInstallation, does: "list accounts"},
	ShowAccount:   {scope: onInstallation, own: true, does: "see other accounts"},
	RotateKeys:    {scope: onInstallation, does: "rotate signing keys"},
	CreateRegion:  {scope: onInstallation, does: "register regions"},
	UpdateRegion:  {scope: onInstallation, does: "change regions"},
	DeleteRegion:  {scope: onInstallation, does: "remove regions"},
	ShowRegion:    {scope: onInstallation, does: "see how regions are reached"},
	CreateUser:    {scope: onAccount, does: "create users"},
	UpdateUser:    {scope: onAccount, does: "change users"},
	DeleteUser:    {scope: onAccount, does: "delete users"},
	ShowUser:      {scope: onUser, does: "see other users"},
	ListUsers:     {scope: onAccount, does: "list users"},
	SetPassword:   {scope: onUser, does: "set the passwords of others"},
	ListProjects:  {scope: inAccount, does: "list projects"},
	CreateKey:     {scope: onUser, does: "create access keys for others"},
	UpdateKey:     {scope: onUser, does: "change the access keys of others"},
	DeleteKey:     {scope: onUser, does: "delete the access keys of others"},
	ListKeys:      {scope: onUser, does: "list the access keys of others"},
	CreateSession: {scope: onUser, does: "create temporary access keys for others"},

	CreateCredential: {scope: onUser, does: "create access credentials for others"},
	UpdateCredential: {scope: onUser, does: "change the access credentials of others"},
	DeleteCredential: {scope: onUser, does: "delete the access credentials of others"},
	ListCredentials:  {scope: onUser, does: "list the access credentials of others"},

	ShowToken:   {scope: onUser, does: "see the tokens of others"},
	DeleteToken: {scope: onUser, does: "end the tokens of others"},
}

// folded finds actions as people spell them.
var folded = sync.OnceValue(func() map[string]Action {
	m := make(map[string]Action, len(rules))
	for a := range rules {
		m[fold(string(a))] = a
	}
	return m
})

// fold makes spellings of one action equal: case does not count, and an
// action without a resource may have one colon or two.
func fold(s string) string {
	s = strings.ToLower(s)
	if service, rest, ok := strings.Cut(s, ":"); ok && !strings.Contains(rest, ":") {
		return service + "::" + rest
	}
	return s
}

// ParseAction returns the action that s spells: without regard to case, and
// "swr:x" for "swr::x". It reports false for a name that is no action.
func ParseAction(s string) (Action, bool) {
	a, ok := folded()[fold(s)]
	return a, ok
}

// ruleOf finds the rule of an action, however it is spelled.
func ruleOf(a Action) (rule, bool) {
	if r, ok := rules[a]; ok {
		return r, true
	}
	if a, ok := ParseAction(string(a)); ok {
		return rules[a], true
	}
	return rule{}, false
}

// Resource is what an action is about. A zero id means that the action is not
// at that level, or that no such row exists; a zero Account is of nobody.
type Resource struct {
	Account      string // owner's id
	Organization int64
	Repository   int64
	Public       bool
	Shared       bool   // there are rules by which it is shared; without this none is looked for
	User         string // id of the user that an action on users and keys is about
	Name         string // "acme" or "acme/app", for sentences only
}
