#!/bin/sh
# Gets a certificate, or renews it 30 days before it ends, and deploys it. On a manager, for example daily:
#
#     export LEGO_DOMAINS="www.example.org example.org" LEGO_EMAIL=you@example.org
#     sh stacks/lego.sh docker stack deploy --compose-file stacks/demo.yml --compose-file stacks/https.yml demo
#
# It runs lego as a job (lego.yml), creates the secrets site.crt.VERSION and site.key.VERSION from the certificate, where VERSION is
# its date, and runs the given command with that SITE_VERSION, unless a service has the secret already. Other deployments need the
# same SITE_VERSION: see `docker secret ls`.
#
# LEGO_DIRECTORY, by default ./lego, has the account with the CA and all keys: keep it. LEGO_SERVER is the URL of another CA. Try it
# first with that for tests, which has higher limits and whose certificates are not trusted:
# https://acme-staging-v02.api.letsencrypt.org/directory. Use another directory for another CA or other names.
set -euf
: "${LEGO_DOMAINS:?not set: names for the certificate}" "${LEGO_EMAIL:?not set: address for messages of the CA}"
LEGO_DIRECTORY=${LEGO_DIRECTORY:-$PWD/lego}
mkdir -p -m 700 "$LEGO_DIRECTORY"
LEGO_DIRECTORY=$(cd "$LEGO_DIRECTORY" && pwd)
file=$LEGO_DIRECTORY/certificates/$(echo "${LEGO_DOMAINS%% *}" | tr '*' _)
LEGO_FLAGS=
for name in $LEGO_DOMAINS; do LEGO_FLAGS="$LEGO_FLAGS --domains $name"; done
if [ -e "$file.crt" ]; then
    LEGO_FLAGS="$LEGO_FLAGS renew --no-random-sleep --days ${LEGO_DAYS:-30}"
else
    LEGO_FLAGS="$LEGO_FLAGS run"
fi
LEGO_USER=$(id -u):$(id -g)
LEGO_NODE=$(docker info --format '{{.Swarm.NodeID}}')
export LEGO_DIRECTORY LEGO_EMAIL LEGO_FLAGS LEGO_USER LEGO_NODE

trap 'docker stack rm lego' EXIT
trap 'exit 1' HUP INT TERM
docker stack deploy --compose-file "$(dirname "$0")/lego.yml" lego
for _ in $(seq 900); do
    state=$(docker service ps --no-trunc --format '{{.CurrentState}} {{.Error}}' lego_lego)
    case $state in Complete* | Failed* | Rejected*) break ;; esac
    sleep 1
done
docker service logs --raw lego_lego
case $state in Complete*) ;; *) echo "lego.sh: no certificate from lego: $state" >&2; exit 1 ;; esac

SITE_VERSION=$(date -u -r "$file.crt" +%Y%m%d-%H%M%S)
export SITE_VERSION
secrets='{{with .Spec.TaskTemplate.ContainerSpec}}{{range .Secrets}}{{println .SecretName}}{{end}}{{end}}'
if docker service ls --quiet | xargs docker service inspect --format "$secrets" | grep -qx "site.crt.$SITE_VERSION"; then
    echo "site.crt.$SITE_VERSION is deployed already"
    exit
fi
for end in crt key; do
    secret=site.$end.$SITE_VERSION
    docker secret inspect "$secret" >/dev/null 2>&1 || docker secret create "$secret" "$file.$end"
done
echo "SITE_VERSION=$SITE_VERSION"
"$@"
