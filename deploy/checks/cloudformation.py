"""The CloudFormation templates: cfn-lint, and what must hold of services, scaling, roles and networks."""

import re

from tools import complaints, read_yaml

FOUNDATION = "deploy/ecs/foundation.yaml"
SERVICES = "deploy/ecs/services.yaml"


def lint(tree, tools):
    """What cfn-lint finds."""
    return complaints(tools.script("cfn-lint", "--format", "parseable", FOUNDATION, SERVICES), tree)


def aliases(tree, _tools):
    """CloudFormation reads no anchors, and cfn-lint does not mind them."""
    found = []
    for path in (FOUNDATION, SERVICES):
        for number, line in enumerate((tree / path).read_text().splitlines(), 1):
            if re.search(r"(^|[\s\[{])[&*][A-Za-z]", line.split(" #")[0]) and not line.lstrip().startswith("#"):
                found.append(f"{path}:{number}: an anchor or alias, which CloudFormation does not read")
    return found


def of_type(template, kind):
    """The resources of a kind: their properties by name."""
    resources = template["Resources"].items()
    return {name: each.get("Properties", {}) for name, each in resources if each["Type"] == kind}


def rules(tree, _tools):
    """What breaks the rules that cfn-lint does not know."""
    foundation, services = read_yaml(tree / FOUNDATION), read_yaml(tree / SERVICES)
    return [
        *_services(services), *_scaling(tree, services), *_roles(foundation), *_pipeline(foundation),
        *_network(foundation), *_edge(foundation), *_imports(foundation, services), *_alarms(tree, services),
    ]


def _services(template):
    found = of_type(template, "AWS::ECS::Service")
    by_name = {each["ServiceName"]: each for each in found.values()}
    if set(by_name) != {"api-service", "worker-service"}:
        yield f"{SERVICES}: the services are {sorted(by_name)}"
        return
    for name, service in by_name.items():
        breaker = service["DeploymentConfiguration"].get("DeploymentCircuitBreaker", {})
        if breaker != {"Enable": True, "Rollback": True}:
            yield f"{SERVICES}: {name} does not roll a failed deployment back"
        if service["DeploymentConfiguration"]["MinimumHealthyPercent"] < 100:
            yield f"{SERVICES}: {name} runs fewer tasks during a deployment"
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        if network["AssignPublicIp"] != "DISABLED" or "PrivateSubnets" not in str(network["Subnets"]):
            yield f"{SERVICES}: {name} is not in private subnets alone"
        if service.get("EnableExecuteCommand") is not False:
            yield f"{SERVICES}: {name} lets somebody run commands in its tasks"
    (balanced,) = by_name["api-service"].get("LoadBalancers", [{}])
    if (balanced.get("ContainerName"), balanced.get("ContainerPort")) != ("front-door", 8000):
        yield f"{SERVICES}: the load balancer does not reach the front door of api-service"
    if by_name["worker-service"].get("LoadBalancers"):
        yield f"{SERVICES}: worker-service is behind a load balancer"


def _scaling(tree, template):
    policies = of_type(template, "AWS::ApplicationAutoScaling::ScalingPolicy").values()
    tracked = {"ApiTasks": set(), "WorkerTasks": set()}
    for policy in policies:
        tracked[policy["ScalingTargetId"]["Ref"]] |= _metrics(policy["TargetTrackingScalingPolicyConfiguration"])
    wanted = {
        "ApiTasks": {"ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization", "ALBRequestCountPerTarget"},
        "WorkerTasks": {"projection_lag_seconds", "ECSServiceAverageCPUUtilization"},
    }
    for target, metrics in wanted.items():
        for metric in sorted(metrics - tracked[target]):
            yield f"{SERVICES}: {target} does not follow {metric}"
    topics = read_yaml(tree / "deploy/kafka/topics.yaml")["topics"]
    (partitions,) = [topic["partitions"] for topic in topics if topic["name"] == "events-input"]
    most = template["Parameters"]["WorkerMaxTasks"]
    if max(most["Default"], most.get("MaxValue", 10**9)) > partitions:
        yield f"{SERVICES}: more workers than the {partitions} partitions that they fold"


def _metrics(configuration):
    predefined = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    own = configuration.get("CustomizedMetricSpecification", {}).get("Metrics", [])
    return {predefined} | {each["MetricStat"]["Metric"]["MetricName"] for each in own if "MetricStat" in each}


def statements(role):
    """What a role is allowed."""
    for policy in role.get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def as_list(value):
    """One or several, as several."""
    return value if isinstance(value, list) else [value]


# Actions that know no resources.
WITHOUT_RESOURCES = {"ecr:GetAuthorizationToken", "ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"}


def _roles(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        if role.get("ManagedPolicyArns"):
            yield f"{FOUNDATION}: {name} has rights that others decide"
        for statement in statements(role):
            actions = set(as_list(statement["Action"]))
            if any("*" in action for action in actions):
                yield f"{FOUNDATION}: {name} may do {sorted(actions)}"
            if statement["Resource"] == "*" and not actions <= WITHOUT_RESOURCES:
                yield f"{FOUNDATION}: {name} may {sorted(actions)} on everything"
        if name.endswith("TaskRole") and any("secretsmanager" in str(each) for each in statements(role)):
            yield f"{FOUNDATION}: {name} reads secrets, which only the execution role needs"
    secrets = set(of_type(template, "AWS::SecretsManager::Secret"))
    for name in secrets:
        readers = [
            role for role, each in of_type(template, "AWS::IAM::Role").items()
            for statement in statements(each)
            if {"Ref": name} in as_list(statement["Resource"])
        ]
        if len(readers) != 1:
            yield f"{FOUNDATION}: {name} is read by {readers}, and not by one execution role"


def _pipeline(template):
    trust = of_type(template, "AWS::IAM::Role")["PipelineRole"]["AssumeRolePolicyDocument"]["Statement"]
    for statement in trust:
        condition = statement.get("Condition", {}).get("StringEquals", {})
        for claim in ("aud", "sub"):
            if f"token.actions.githubusercontent.com:{claim}" not in condition:
                yield f"{FOUNDATION}: PipelineRole trusts tokens whatever their {claim}"
    for statement in statements(of_type(template, "AWS::IAM::Role")["PipelineRole"]):
        if statement["Action"] == "iam:PassRole" and "Condition" not in statement:
            yield f"{FOUNDATION}: PipelineRole passes roles to any service"


def _network(template):
    for name, group in of_type(template, "AWS::EC2::SecurityGroup").items():
        for rule in group.get("SecurityGroupIngress", []):
            if rule.get("CidrIp") and name != "LoadBalancerSecurityGroup":
                yield f"{FOUNDATION}: {name} lets {rule['CidrIp']} in"
        if not group.get("SecurityGroupEgress"):
            yield f"{FOUNDATION}: {name} lets everything out"
        for rule in group.get("SecurityGroupEgress", []):
            if str(rule["IpProtocol"]) == "-1":
                yield f"{FOUNDATION}: {name} lets everything out"
    worker = of_type(template, "AWS::EC2::SecurityGroup")["WorkerSecurityGroup"]
    if worker.get("SecurityGroupIngress"):
        yield f"{FOUNDATION}: WorkerSecurityGroup lets somebody in"


def _edge(template):
    listeners = of_type(template, "AWS::ElasticLoadBalancingV2::Listener")
    for name, listener in listeners.items():
        (action,) = listener["DefaultActions"]
        if listener["Protocol"] == "HTTP" and action["Type"] != "redirect":
            yield f"{FOUNDATION}: {name} serves without TLS"
        if listener["Protocol"] == "HTTPS" and "TLS13" not in listener.get("SslPolicy", ""):
            yield f"{FOUNDATION}: {name} takes old TLS"
    if not any(listener["Protocol"] == "HTTPS" for listener in listeners.values()):
        yield f"{FOUNDATION}: nobody listens for TLS"
    (group,) = of_type(template, "AWS::ElasticLoadBalancingV2::TargetGroup").values()
    if group["HealthCheckPath"] != "/health/live":
        yield f"{FOUNDATION}: tasks are replaced when {group['HealthCheckPath']} fails, which may ask others"


def _imports(foundation, services):
    exported = {
        each["Export"]["Name"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
        for each in foundation["Outputs"].values() if "Export" in each
    }
    wanted = set(re.findall(r"\$\{FoundationStack\}-(\w+)", str(services)))
    for name in sorted(wanted - exported):
        yield f"{SERVICES}: {FOUNDATION} exports no {name}"
    for name in sorted(exported - wanted):
        yield f"{FOUNDATION}: exports {name}, which nobody imports"


def _alarms(tree, template):
    """Metrics of ours by names that the processes have, let through by the collector, of every projection."""
    metrics = set(re.findall(r'"(projection_\w+)"', (tree / "crates/telemetry/src/metric.rs").read_text()))
    collector = read_yaml(tree / "deploy/ecs/collector.yaml")
    (scrape,) = collector["receivers"]["prometheus"]["config"]["scrape_configs"]
    (kept,) = scrape["metric_relabel_configs"]
    told = [each["MetricStat"]["Metric"] for each in _measured(template["Resources"])]
    told = {(each["MetricName"], dimension["Value"]) for each in told for dimension in each["Dimensions"]}
    for name in sorted({name for name, _ in told}):
        if name not in metrics:
            yield f"{SERVICES}: no process has a metric {name}"
        if not re.fullmatch(kept["regex"], name):
            yield f"{SERVICES}: the collector does not pass {name} on"
    page = (tree / "docs/configuration.md").read_text()
    projections = re.search(r"`MILLRACE_PROJECTOR_PROJECTIONS` \| `([\w,]+)`", page)
    if not projections:
        yield f"{SERVICES}: docs/configuration.md does not say which projections there are"
        return
    for name in ("projection_lag_seconds", "projection_stopped_partitions"):
        for projection in projections[1].split(","):
            if (name, projection) not in told:
                yield f"{SERVICES}: nobody looks at {name} of {projection}"


def _measured(value):
    """Every metric that is looked at, however deep it stands."""
    if isinstance(value, dict):
        if "MetricStat" in value:
            yield value
        else:
            for each in value.values():
                yield from _measured(each)
    elif isinstance(value, list):
        for each in value:
            yield from _measured(each)
