#!/bin/sh
# Raises the share of hello's requests that the new version (canary.yml) gets, while load's assertions are met. At the first
# violation, on an error and on Ctrl-C, the share is 0 again, and the exit code 1. On a manager:
#
#     sh stacks/canary.sh http://localhost/hello/viktor
#     STEPS='1 10 100' sh stacks/canary.sh --duration 5m --max-p99 20ms http://localhost/hello/viktor
#
# All arguments are those of `load`. The step 0 is for testers' requests alone: --header 'x-canary: 1'.
set -eu
: "${1:?usage: sh canary.sh [FLAGS OF LOAD] URL}"

share() {
    split=traefik.http.services.hello-split.weighted.services
    docker service update --quiet --detach --label-add "$split[0].weight=$((100 - $1))" \
        --label-add "$split[1].weight=$1" canary_hello-next > /dev/null &&
        echo "the new version gets $1 % of the requests"
}

trap 'share 0 || share 0 || echo "the share is still $percent %: set it to 0 with STEPS=0" >&2; exit 1' EXIT
trap 'exit 1' HUP INT TERM
for percent in ${STEPS:-5 25 50 100}; do
    share "$percent"
    case $percent in 0 | 100) services= ;; *) services=demo_hello ;; esac
    # Each task must answer, so from 1 to 99 a share without effect is a violation, too.
    tasks=$(docker service ps --quiet --filter desired-state=running canary_hello-next $services)
    docker run --rm --network host --env LOAD_RATE=50 --env LOAD_FOR=10s --env LOAD_MAX_FAILED=0 \
        --env "LOAD_MIN_INSTANCES=$(echo "$tasks" | wc -l)" "${SWARMLINGS_PREFIX:-swarmlings}/load:${SWARMLINGS_TAG:-0.2.0}" "$@"
done
trap - EXIT
