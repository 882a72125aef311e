#!/usr/bin/env python3
"""Shows that each check finds what it is for: a fault is put into a copy, and the check must name it.

A check without a fault here, a fault that is not found, and one whose place is gone are failures.
"""

import argparse
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from check import CHECKS, findings
from tools import Tools

COMPOSE = "docker-compose.yml"
DOCKERFILE = "deploy/docker/Dockerfile"
API = "deploy/ecs/task-definitions/api.json"
WORKER = "deploy/ecs/task-definitions/worker.json"
FOUNDATION = "deploy/ecs/foundation.yaml"
SERVICES = "deploy/ecs/services.yaml"
PIPELINE = ".github/workflows/api-ci-cd.yml"

# The check, the file, what stands there, what stands there then, and what the check must say.
FAULTS = [
    ("compose schema", COMPOSE, "service_healthy", "service_healty", "service_healty"),
    ("compose schema", COMPOSE, "    image: postgres:18.3", "    imagee: postgres:18.3", "imagee"),
    ("compose lint", COMPOSE, '"127.0.0.1:8080:8080"', '"8080:8080"', "no-unbound-port-interfaces"),
    ("compose rules", COMPOSE, "  read_only: true", "  read_only: false", "can write to its root"),
    ("compose rules", COMPOSE, "  cap_drop: [ALL]", "  cap_drop: [NET_RAW]", "keeps capabilities"),
    ("compose rules", COMPOSE, "no-new-privileges:true", "no-new-privileges:false", "may gain privileges"),
    ("compose rules", COMPOSE, "      max-size: 10m\n", "", "writes a log without end"),
    ("compose rules", COMPOSE, "        memory: 256M\n", "", "has no limit of memory"),
    ("compose rules", COMPOSE, "redis:8.6.3-alpine3.23\n    user: \"999", "redis:latest\n    user: \"999", "which is no version"),
    ("compose rules", COMPOSE, '"127.0.0.1:5432:5432"', '"0.0.0.0:5432:5432"', "to other machines"),
    ("compose rules", COMPOSE, '"127.0.0.1:8080:8080"', '"127.0.0.1:8081:8080"', "kafka-ui is not published on 8080"),
    ("compose rules", COMPOSE, "      start_interval: 1s\n    # Longer", "    # Longer", "no healthcheck that is quick"),
    ("compose rules", COMPOSE, "condition: service_healthy", "condition: service_started", "until service_started"),
    ("compose rules", COMPOSE, "    stop_grace_period: 20s", "    stop_grace_period: 12s", "is killed after 12s"),
    ("compose rules", COMPOSE, "${POSTGRES_PASSWORD:?}", "${POSTGRES_PASSWORD:-postgres}", "is told POSTGRES_PASSWORD"),
    ("compose rules", COMPOSE, "projector:${PROJECTOR_DB_PASSWORD:?}@", "projector:projector@", "is told a password"),
    ("compose rules", COMPOSE, "./deploy/docker/nginx.conf:", "./deploy/docker/ngnix.conf:", "does not exist"),
    ("compose rules", ".env.example", "REDIS_PASSWORD=\n", "", ".env.example does not have REDIS_PASSWORD"),
    ("dockerfile lint", DOCKERFILE, "ENTRYPOINT [\"/usr/local/bin/projector\"]", "ENTRYPOINT /usr/local/bin/projector", "DL3025"),
    ("dockerfile rules", DOCKERFILE, "USER 65532:65532", "USER nonroot", "runs as nonroot"),
    ("dockerfile rules", DOCKERFILE, "=gcr.io/distroless/cc-debian13:nonroot", "=debian:13-slim", "may have a shell"),
    ("dockerfile rules", DOCKERFILE, "CMD [\"/usr/local/bin/query-api\", \"healthcheck\", \"live\"]", "CMD query-api healthcheck", "query-api has no healthcheck"),
    ("dockerfile rules", DOCKERFILE, "rust:1.95.0-trixie", "rust:1.94.0-trixie", "builds with Rust 1.94.0"),
    ("dockerfile rules", DOCKERFILE, "rust:1.95.0-trixie", "rust:1.95.0-bookworm", "the C library differs"),
    ("dockerfile rules", DOCKERFILE, "cargo build --release --locked", "cargo build --release", "does not keep to the lock file"),
    ("dockerfile rules", DOCKERFILE, "org.opencontainers.image.title=\"projector\"", "title=\"projector\"", "does not say its title"),
    ("dockerfile rules", ".dockerignore", "!migrations\n", "", "keeps migrations from the build"),
    ("settings", COMPOSE, "MILLRACE_TOKEN_SECRET: $", "MILLRACE_TOKEN_SECRTE: $", "MILLRACE_TOKEN_SECRTE is not in"),
    ("settings", WORKER, "\"MILLRACE_PROJECTOR_BIND\"", "\"MILLRACE_PROJECTOR_BNID\"", "MILLRACE_PROJECTOR_BNID is not in"),
    ("settings", DOCKERFILE, "ENV MILLRACE_QUERY_API_BIND", "ENV MILLRACE_QUERY_BIND", "MILLRACE_QUERY_BIND is not in"),
    ("task placeholders", API, "${ApiTaskRoleArn}", "${ApiRoleArn}", "ApiRoleArn"),
    ("task parameters", API, '"healthCheck"', '"healthChek"', "healthChek"),
    ("task parameters", API, '"stopTimeout": 35', '"stopTimeout": "35"', "stopTimeout"),
    ("task rules", WORKER, '"memory": "2048"', '"memory": "1536"', "Fargate has no 1536 MB"),
    ("task rules", WORKER, '"memory": 1536', '"memory": 4096', "may take"),
    ("task rules", WORKER, '"readonlyRootFilesystem": true', '"readonlyRootFilesystem": false', "can write to its root"),
    ("task rules", WORKER, '"user": "65532:65532"', '"user": "root"', "other than root's"),
    ("task rules", WORKER, '"drop": ["ALL"]', '"drop": []', "keeps capabilities"),
    ("task rules", WORKER, '"initProcessEnabled": true', '"initProcessEnabled": false', "has no init process"),
    ("task rules", WORKER, '"stopTimeout": 30', '"stopTimeout": 22', "22 s to stop and drains"),
    ("task rules", WORKER, '"value": "127.0.0.1:8003"', '"value": "x" }, { "name": "REDIS_URL", "value": "redis://x"', "is told REDIS_URL openly"),
    ("task rules", WORKER, '"${ProjectorSecretArn}:REDIS_URL::"', '"redis://x"', "no secret of the foundation"),
    ("task rules", WORKER, '"${ImageProjector}"', '"millrace/projector:latest"', "which is no digest"),
    ("task rules", WORKER, '"healthCheck"', '"dockerLabels": {}, "x"', "has no healthcheck"),
    ("task rules", WORKER, '"cpuArchitecture": "ARM64"', '"cpuArchitecture": "X86_64"', "another architecture"),
    ("task rules", FOUNDATION, "REDIS_URL, SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_USERNAME, SCHEMA_REGISTRY_PASSWORD, KAFKA", "REDIS_URL, SCHEMA_REGISTRY_USERNAME, SCHEMA_REGISTRY_PASSWORD, KAFKA", "asks for its SCHEMA_REGISTRY_URL"),
    ("task rules", WORKER, '"executionRoleArn": "${WorkerExecutionRoleArn}"', '"executionRoleArn": "${WorkerTaskRoleArn}"', "have one role"),
    ("task rules", API, '"volumes": [{ "name": "front-door-tmp" }]', '"volumes": []', "volumes and mount points differ"),
    ("task rules", API, '"mode": "non-blocking"', '"mode": "blocking"', "stands still when its log does"),
    ("cloudformation lint", SERVICES, "AWS::ECS::Service\n", "AWS::ECS::Servcie\n", "AWS::ECS::Servcie"),
    ("cloudformation lint", FOUNDATION, "ImageTagMutability: IMMUTABLE_WITH_EXCLUSION", "ImageTagMutability: FIXED", "FIXED"),
    ("cloudformation aliases", SERVICES, "NetworkConfiguration:", "NetworkConfiguration: &network", "an anchor or alias"),
    ("cloudformation rules", SERVICES, "ServiceName: worker-service", "ServiceName: projector", "the services are"),
    ("cloudformation rules", SERVICES, "Rollback: true", "Rollback: false", "does not roll a failed deployment back"),
    ("cloudformation rules", SERVICES, "MinimumHealthyPercent: 100", "MinimumHealthyPercent: 50", "fewer tasks"),
    ("cloudformation rules", SERVICES, "AssignPublicIp: DISABLED", "AssignPublicIp: ENABLED", "not in private subnets alone"),
    ("cloudformation rules", SERVICES, "EnableExecuteCommand: false", "EnableExecuteCommand: true", "run commands in its tasks"),
    ("cloudformation rules", SERVICES, "ContainerPort: 8000", "ContainerPort: 8001", "does not reach the front door"),
    ("cloudformation rules", SERVICES, "PredefinedMetricType: ALBRequestCountPerTarget", "PredefinedMetricType: ECSServiceAverageCPUUtilization", "does not follow ALBRequestCountPerTarget"),
    ("cloudformation rules", SERVICES, "MetricName: projection_lag_seconds", "MetricName: projection_lag", "does not follow projection_lag_seconds"),
    ("cloudformation rules", SERVICES, "MetricName: projection_braked", "MetricName: projection_broken", "no process has a metric projection_broken"),
    ("cloudformation rules", SERVICES, "Value: device_history", "Value: history", "nobody looks at projection_lag_seconds of device_history"),
    ("cloudformation rules", "deploy/ecs/collector.yaml", "stopped_partitions|", "", "does not pass projection_stopped_partitions on"),
    ("cloudformation rules", SERVICES, "    MaxValue: 12\n", "    MaxValue: 24\n", "more workers than the 12 partitions"),
    ("cloudformation rules", FOUNDATION, "      AssumeRolePolicyDocument:", "      ManagedPolicyArns: [x]\n      AssumeRolePolicyDocument:", "rights that others decide"),
    ("cloudformation rules", FOUNDATION, "Action: ecs:RunTask", 'Action: "ecs:*"', "may do ['ecs:*']"),
    ("cloudformation rules", FOUNDATION, "Resource: !Ref AWS::StackId", 'Resource: "*"', "on everything"),
    ("cloudformation rules", FOUNDATION, "Resource: !Ref DeploySecret", "Resource: !Ref ProjectorSecret", "not by one execution role"),
    ("cloudformation rules", FOUNDATION, "                token.actions.githubusercontent.com:sub: !Ref GitHubSubject\n", "", "whatever their sub"),
    ("cloudformation rules", FOUNDATION, '                Condition: { StringEquals: { "iam:PassedToService": ecs-tasks.amazonaws.com } }\n', "", "passes roles to any service"),
    ("cloudformation rules", FOUNDATION, "      SecurityGroupIngress: []", "      SecurityGroupIngress:\n        - { IpProtocol: tcp, FromPort: 8003, ToPort: 8003, CidrIp: 10.0.0.0/8 }", "lets 10.0.0.0/8 in"),
    ("cloudformation rules", FOUNDATION, "{ IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0, Description: the", '{ IpProtocol: "-1", CidrIp: 0.0.0.0/0, Description: the', "lets everything out"),
    ("cloudformation rules", FOUNDATION, "        - Type: redirect\n", "        - Type: forward\n", "serves without TLS"),
    ("cloudformation rules", FOUNDATION, "HealthCheckPath: /health/live", "HealthCheckPath: /health/ready", "which may ask others"),
    ("cloudformation rules", FOUNDATION, '${AWS::StackName}-ApiTargetGroup', '${AWS::StackName}-Targets', "exports no ApiTargetGroup"),
    ("workflow schema", PIPELINE, "    runs-on: ubuntu", "    run-on: ubuntu", "run-on"),
    ("workflow lint", PIPELINE, "secrets.ECS_CLUSTER }}", "secret.ECS_CLUSTER }}", "secret"),
    ("workflow security", PIPELINE, '"$ECR_REGISTRY"\n', '"${{ github.head_ref }}"\n', "template-injection"),
    ("workflow security", PIPELINE, "          persist-credentials: false\n", "          fetch-depth: 1\n", "artipacked"),
    ("workflow rules", PIPELINE, "permissions: {}", "permissions: { contents: write }", "gives rights to all"),
    ("workflow rules", PIPELINE, "    environment: production\n", "", "outside an environment"),
    ("workflow rules", PIPELINE, "    timeout-minutes: 90\n", "", "may run for ever"),
    ("workflow rules", PIPELINE, "runs-on: ubuntu-24.04-arm", "runs-on: ubuntu-latest", "runs on ubuntu-latest"),
    ("workflow rules", PIPELINE, "secrets.ECS_SERVICE_API ", "secrets.ECS_SERVICE ", "does not take secrets.ECS_SERVICE_API"),
    ("workflow rules", PIPELINE, "    needs: test\n", "", "what was not tested"),
    ("workflow rules", PIPELINE, "deploy/docker/push.py api", "deploy/docker/push.py worker", "does not deploy what it has pushed"),
    ("workflow rules", PIPELINE, "      cancel-in-progress: false", "      cancel-in-progress: true", "break a deployment off"),
    ("workflow rules", PIPELINE, "      - crates/**\n", "", "does not begin when crates/access changes"),
    ("shell", "deploy/docker/make-env.sh", 'dirname "$0"', "dirname $0", "SC2086"),
    ("yaml", COMPOSE, "name: millrace\n", "name: millrace\nname: other\n", "duplication of key"),
]

# What the checks read.
COPIED = [
    COMPOSE, ".env.example", ".dockerignore", "deploy", ".github", "Cargo.toml", "rust-toolchain.toml",
    "docs/configuration.md", "crates/telemetry/src/metric.rs",
]


def copy(tree, target):
    """Copies what the checks read."""
    manifests = [str(path.relative_to(tree)) for path in [*tree.glob("*/Cargo.toml"), *tree.glob("crates/*/Cargo.toml")]]
    for name in [*COPIED, *manifests]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (tree / name).is_dir():
            shutil.copytree(tree / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(tree / name, target / name)


def outcome(tree, tools, fault):
    """What is wrong with the check, if it does not find the fault."""
    check, name, before, after, said = fault
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory)
        copy(tree, target)
        text = (target / name).read_text()
        if before not in text:
            return f"{name} holds no {before!r} any more"
        (target / name).write_text(text.replace(before, after))
        found = "\n".join(findings(check, target, tools))
        if said not in found or not found:
            return f"{check}: with {after!r} in {name} it does not say {said!r}, but {found or 'nothing'}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", required=True, help="the directory into which they are installed")
    tree, tools = Path.cwd(), Tools(parser.parse_args().tools)
    failures = [f"{name} has no seeded fault" for name in CHECKS if name not in {each[0] for each in FAULTS}]
    with ThreadPoolExecutor(max_workers=2) as pool:
        outcomes = list(pool.map(lambda fault: outcome(tree, tools, fault), FAULTS))
    failures += [each for each in outcomes if each]
    print("\n".join(failures))
    print(f"{len(FAULTS) - sum(map(bool, outcomes))} passed, {len(failures)} failed")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
