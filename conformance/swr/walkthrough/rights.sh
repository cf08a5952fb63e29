#!/usr/bin/env bash
# Let a user (READER_ID, READER) read an image, and look at who may.
. "$(dirname "$0")/login.sh"
login

call POST "/v2/manage/namespaces/$ORGANIZATION/repos/test/access" '[ {
  "user_id" : "'"$READER_ID"'",
  "user_name" : "'"$READER"'",
  "auth" : 1
} ]'
call GET "/v2/manage/namespaces/$ORGANIZATION/repos/test/access"

USER=$READER PASSWORD=$READER_PASSWORD
login
call GET "/v2/manage/namespaces/$ORGANIZATION/repos/test"
call DELETE "/v2/manage/namespaces/$ORGANIZATION/repos/test"
