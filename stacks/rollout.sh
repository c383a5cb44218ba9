#!/bin/sh
# Updates a service of Docker Compose without a failed request: starts as many new containers as there are, waits until they
# are healthy, which with a sidecar means routed, and stops the old ones. If a new one fails, the old ones stay.
#
#     export COMPOSE_FILE=stacks/compose.yml COMPOSE_PROJECT_NAME=demo
#     sh stacks/rollout.sh ping
#
# The service needs a health check, and must not publish a port or set container_name, which two containers cannot share.
set -eu
service=${1:?usage: rollout.sh SERVICE}
compose() { if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi; }

old=$(compose ps --quiet "$service")
[ -n "$old" ] || { echo "$service does not run yet: start it with docker-compose up --detach $service" >&2; exit 1; }
new() { compose ps --quiet "$service" | grep --invert-match "$old" || true; }
undo() {
    for container in $(new); do docker stop "$container" && docker rm "$container"; done >/dev/null
    echo "the new containers of $service are removed, and the old ones stay" >&2
}
trap undo EXIT
trap 'exit 1' HUP INT TERM
compose up --detach --no-deps --no-recreate --scale "$service=$(($(echo "$old" | wc -w) * 2))" "$service"
for container in $(new); do
    state='0 starting'
    while [ "$state" = '0 starting' ]; do
        sleep 1
        state=$(docker inspect --format '{{.RestartCount}} {{.State.Health.Status}}' "$container")
    done
    [ "$state" = '0 healthy' ] || { docker logs --tail 10 "$container" >&2; exit 1; }
done
trap - EXIT
docker stop $old >/dev/null && docker rm $old >/dev/null
