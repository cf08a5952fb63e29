package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Sources of a configuration, each over the one before: defaults, the file,
// the environment, flags.
type Sources struct {
	File    string            // path of a YAML file; empty: BERTH_CONFIG, else none
	Environ []string          // as os.Environ gives it
	Flags   map[string]string // key -> text, of flags that were given
}

// Environment variables that are no keys.
const (
	envConfig            = "BERTH_CONFIG"
	envMasterKey         = "BERTH_MASTER_KEY"
	envAdminPassword     = "BERTH_ADMIN_PASSWORD"
	envAdminPasswordFile = "BERTH_ADMIN_PASSWORD_FILE"
)

const maxFile = 1 << 20 // bytes of a configuration or password file

// Load reads all sources and validates the result. Its error names, for each
// thing that is wrong, the file and line, the variable or the flag.
func Load(from Sources) (Config, error) {
	c := Default()
	c.origins = map[string]string{}
	env := environment(from.Environ)
	file := from.File
	if file == "" {
		file = env[envConfig]
	}
	var problems []error
	if file != "" {
		problems = append(problems, c.loadFile(file))
	}
	problems = append(problems, c.loadEnvironment(env))
	for _, k := range c.Keys() {
		text, given := from.Flags[k.Name]
		if !given {
			continue
		}
		if err := k.Value.Set(text); err != nil {
			problems = append(problems, fmt.Errorf("--%s: %w", k.Flag(), err))
		}
		c.origins[k.Name] = "--" + k.Flag()
	}
	if err := errors.Join(problems...); err != nil {
		return Config{}, err
	}
	if err := c.validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (c *Config) loadFile(path string) error {
	text, err := readSmall(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	settings, err := parseFile(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	keys := map[string]Key{}
	for _, k := range c.Keys() {
		keys[k.Name] = k
	}
	var problems []error
	for _, s := range settings {
		k, known := keys[s.key]
		if !known {
			problems = append(problems, fmt.Errorf("%s:%d: unknown key %s%s", path, s.line, s.key, nearest(s.key, keys)))
			continue
		}
		if err := k.Value.Set(s.text); err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %s: %w", path, s.line, s.key, err))
		}
		c.origins[s.key] = fmt.Sprintf("%s:%d", path, s.line)
	}
	return errors.Join(problems...)
}

func (c *Config) loadEnvironment(env map[string]string) error {
	var problems []error
	known := map[string]bool{envConfig: true, envMasterKey: true, envAdminPassword: true, envAdminPasswordFile: true}
	for _, k := range c.Keys() {
		known[k.Env()] = true
		text, given := env[k.Env()]
		if !given {
			continue
		}
		if err := k.Value.Set(text); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", k.Env(), err))
		}
		c.origins[k.Name] = k.Env()
	}
	c.secrets.masterKey = env[envMasterKey]
	c.secrets.adminPassword = env[envAdminPassword]
	if path := env[envAdminPasswordFile]; path != "" {
		if c.secrets.adminPassword != "" {
			problems = append(problems, fmt.Errorf("set %s or %s, not both", envAdminPassword, envAdminPasswordFile))
		}
		text, err := readSmall(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", envAdminPasswordFile, err))
		}
		if c.secrets.adminPassword = strings.TrimRight(string(text), "\r\n"); err == nil && c.secrets.adminPassword == "" {
			problems = append(problems, fmt.Errorf("%s: the file %s is empty", envAdminPasswordFile, path))
		}
	}
	for name := range env {
		if !known[name] && !foreign(name) {
			c.ignored = append(c.ignored, name)
		}
	}
	slices.Sort(c.ignored)
	return errors.Join(problems...)
}

// environment keeps the variables of ours. An empty one counts as absent, so
// that a container can blank one that its image sets.
func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "BERTH_") && text != "" {
			env[name] = text
		}
	}
	return env
}

// foreign says that a variable has our prefix and another owner: Kubernetes
// sets these for a service of our name, and the test suite has its own.
func foreign(name string) bool {
	for _, prefix := range []string{"BERTH_SERVICE_", "BERTH_PORT", "BERTH_TEST_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return text, nil
}
