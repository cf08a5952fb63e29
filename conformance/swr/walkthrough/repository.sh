#!/usr/bin/env bash
# Create an organization, find it by a filter, create a repository, show it.
. "$(dirname "$0")/login.sh"
login

call POST /v2/manage/namespaces '{
    "namespace": "'"$ORGANIZATION"'"
}'
call GET "/v2/manage/namespaces?filter=namespace::$ORGANIZATION"
call POST "/v2/manage/namespaces/$ORGANIZATION/repos?repository=test&category=linux&description=test&is_public=false"
call GET "/v2/manage/namespaces/$ORGANIZATION/repos/test"
