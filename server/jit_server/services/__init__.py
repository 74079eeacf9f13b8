"""The use cases.  Transactions live here: each change and its audit events in one (S7); authorisation is decided here.

Callers are `Person` or `HostCaller`, whose certificates the edge has verified.  Refusals that must leave a trace (a
wrong code, a request the policy refuses) commit their audit event first and are raised after the commit.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from jit_server import ports, store
from jit_server.domain.ids import RandomBytes
from jit_server.services.alerts import AlertService
from jit_server.services.audit import AuditService
from jit_server.services.batches import BatchService
from jit_server.services.decisions import DecisionService
from jit_server.services.delivery import DeliveryService
from jit_server.services.eligibility import EligibilityService
from jit_server.services.extending import ExtensionService
from jit_server.services.factors import FactorService
from jit_server.services.grants import GrantService
from jit_server.services.hosts import HostService
from jit_server.services.locks import LockService
from jit_server.services.login import LoginService
from jit_server.services.lost_sessions import LostSessionService
from jit_server.services.people import PeopleService
from jit_server.services.policies import PolicyService
from jit_server.services.policy_answers import PolicyAnswerService
from jit_server.services.policy_approvals import PolicyApprovalService
from jit_server.services.policy_book import PolicyBook
from jit_server.services.policy_changes import PolicyChangeService
from jit_server.services.recordings import RecordingService
from jit_server.services.renewals import RenewalService
from jit_server.services.requests import RequestService
from jit_server.services.retention import RetentionService
from jit_server.services.sessions import SessionsService
from jit_server.services.starting import StartService
from jit_server.services.suggesting import SuggestService
from jit_server.services.verification import VerificationService
from jit_server.services.weighing import Scales


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the services need; `random_bytes` is replaced only by tests."""

    store: store.Store
    clock: ports.Clock
    signer: ports.Signer
    authority: ports.CertificateAuthority
    passwords: ports.PasswordChecker
    secret_box: ports.SecretBox
    totp: ports.Totp
    policy_parser: ports.PolicyParser
    objects: ports.ObjectStore
    on_call: ports.OnCall
    accounts: ports.Accounts
    random_bytes: RandomBytes = secrets.token_bytes


@dataclass(frozen=True, slots=True)
class Services:
    requests: RequestService
    batches: BatchService
    decisions: DecisionService
    extensions: ExtensionService
    starting: StartService
    grants: GrantService
    locks: LockService
    sessions: SessionsService
    lost_sessions: LostSessionService
    recordings: RecordingService
    retention: RetentionService
    verification: VerificationService
    alerts: AlertService
    delivery: DeliveryService
    hosts: HostService
    people: PeopleService
    factors: FactorService
    login: LoginService
    policies: PolicyService
    policy_changes: PolicyChangeService
    policy_approvals: PolicyApprovalService
    policy_answers: PolicyAnswerService
    eligibility: EligibilityService
    renewals: RenewalService
    suggestions: SuggestService
    audit: AuditService


def compose(world: Ports) -> Services:
    """Put the services together over one set of ports."""
    book = PolicyBook(world.policy_parser, world.clock)
    policy_changes = PolicyChangeService(world.store, world.clock, book, world.random_bytes)
    factors = FactorService(world.store, world.clock, world.secret_box, world.totp)
    scales = Scales(world.on_call)
    return Services(
        requests=RequestService(
            world.store, world.clock, book, scales, factors=factors, random_bytes=world.random_bytes
        ),
        batches=BatchService(
            world.store,
            world.clock,
            book,
            scales,
            factors=factors,
            accounts=world.accounts,
            random_bytes=world.random_bytes,
        ),
        decisions=DecisionService(world.store, world.clock, book, scales, world.random_bytes),
        extensions=ExtensionService(
            world.store, world.clock, book, scales, factors=factors, random_bytes=world.random_bytes
        ),
        starting=StartService(world.store, world.clock, book, scales),
        grants=GrantService(world.store, world.clock, book),
        locks=LockService(world.store, world.clock, book, world.random_bytes),
        sessions=SessionsService(world.store, world.clock, book),
        lost_sessions=LostSessionService(world.store, world.clock),
        recordings=RecordingService(world.store, world.clock, world.objects),
        retention=RetentionService(world.store, world.clock, world.objects),
        verification=VerificationService(world.store, world.clock, world.objects),
        alerts=AlertService(world.store, world.clock, book),
        delivery=DeliveryService(world.store, world.clock, world.signer),
        hosts=HostService(world.store, world.clock, world.authority, world.signer, world.random_bytes),
        people=PeopleService(world.store, world.clock, book, world.random_bytes),
        factors=factors,
        login=LoginService(world.store, world.clock, world.authority, world.passwords, factors),
        policies=PolicyService(world.store, world.clock, book),
        policy_changes=policy_changes,
        policy_approvals=PolicyApprovalService(world.store, world.clock, book, policy_changes),
        policy_answers=PolicyAnswerService(world.store, world.clock, book, scales),
        eligibility=EligibilityService(world.store, world.clock, book),
        renewals=RenewalService(world.store, world.clock, book, world.random_bytes),
        suggestions=SuggestService(world.store, world.clock, book, world.policy_parser),
        audit=AuditService(world.store),
    )
