# What the walk-throughs have in common. To be sourced.
#
# The environment says where and who: ENDPOINT, ACCOUNT, USER, PASSWORD, PROJECT.
# Each call writes its status and its body, one line each, to standard output.
set -euo pipefail

# login : a token for the project, in $token.
login() {
  local headers
  headers=$(curl -sSk -D - -o /dev/null "$ENDPOINT/v3/auth/tokens" -H 'Content-Type: application/json' -d '{
    "auth": {
      "identity": {"methods": ["password"], "password": {"user": {"name": "'"$USER"'", "password": "'"$PASSWORD"'", "domain": {"name": "'"$ACCOUNT"'"}}}},
      "scope": {"project": {"name": "'"$PROJECT"'"}}
    }
  }')
  token=$(printf '%s' "$headers" | tr -d '\r' | sed -n 's/^[Xx]-[Ss]ubject-[Tt]oken: //p')
  [ -n "$token" ]
}

# call METHOD PATH [BODY] : one request with the token.
call() {
  local method=$1 path=$2
  shift 2
  curl -sSkg -X "$method" "$ENDPOINT$path" -H 'Content-Type: application/json;charset=utf-8' -H "X-Auth-Token: $token" ${1:+-d "$1"} -w '\n%{http_code}\n' |
    awk 'NR == 1 { body = $0 } { last = $0 } END { print last; print body }'
}
