//! Who may do what. Whoever adds an operation says it here.

use domain::role::Role;

use super::caller::Caller::{
    self, BoundElsewhere, BoundHere, Only, Other, Owner, OwnerWithoutRole,
};
use super::caller::Unknown;

/// What a caller is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Something that is described, and neither 401 nor 403: they may, whatever comes of it.
    Allowed,
    /// The same, and nothing is shown that only the owner and admins see.
    InPart,
    /// 403.
    Forbidden,
    /// 404, as if there were no such thing, where 403 would tell that there is.
    Hidden,
    /// 401.
    Unauthenticated(Unknown),
}

/// What is another one after a call that was allowed, so that each such call has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsesUp {
    /// Nothing, or what has no owner.
    Nothing,
    /// A user.
    Person,
    /// A session, and perhaps its user.
    Session,
}

/// Who may use one operation. Callers without a token that holds are answered 401, unless it is public, and
/// known ones who are not named 403.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// The operation's id.
    pub(super) operation: &'static str,
    /// The status that at least one caller who may is answered.
    pub(super) done: u16,
    /// What such a call leaves behind as another one.
    pub(super) uses_up: UsesUp,
    is_public: bool,
    allowed: &'static [Caller],
    in_part: &'static [Caller],
    hidden_from: &'static [Caller],
}

const USER: Caller = Only(Role::User);
const APPROVER: Caller = Only(Role::Approver);
const ADMIN: Caller = Only(Role::Admin);
const DEVICE: Caller = Only(Role::Device);
const RESPONDER: Caller = Only(Role::Responder);
const ANALYST: Caller = Only(Role::Analyst);

/// Everybody whom an access token names.
const KNOWN: &[Caller] = &[
    Owner,
    OwnerWithoutRole,
    Other,
    USER,
    APPROVER,
    ADMIN,
    DEVICE,
    RESPONDER,
    ANALYST,
    BoundHere,
    BoundElsewhere,
];

/// Those of them who are not bound to a device.
const UNBOUND: &[Caller] =
    &[Owner, OwnerWithoutRole, Other, USER, APPROVER, ADMIN, DEVICE, RESPONDER, ANALYST];

/// Those of these who are not the owner.
const NOT_OWNING: &[Caller] = &[Other, USER, APPROVER, ADMIN, DEVICE, RESPONDER, ANALYST];

/// Those of these who are no admin either.
const PUBLIC: &[Caller] = &[Other, USER, APPROVER, DEVICE, RESPONDER, ANALYST];

/// Those who see all of a user.
const OVERSEEING: &[Caller] = &[Owner, OwnerWithoutRole, ADMIN];

/// Those who report for the device of the request, and read it.
const OF_DEVICE: &[Caller] = &[Owner, Other, USER, ADMIN, DEVICE, BoundHere];

/// Those who see many devices; of those who are bound, each sees one.
const OF_DEVICES: &[Caller] = &[Owner, Other, USER, ADMIN, BoundHere];

/// Those who decide about a user.
const DECIDING: &[Caller] = &[Owner, ADMIN];

/// The table.
pub(super) const ROWS: &[Row] = &[
    // Devices.
    row("reportDeviceEvents", 202, OF_DEVICE),
    row("reportDeviceEventsByOlderPath", 202, OF_DEVICE),
    row("getResource", 200, OF_DEVICE),
    row("getResourceByOlderPath", 200, OF_DEVICE),
    row("getResourceHistory", 200, OF_DEVICE),
    row("listResources", 200, OF_DEVICES).in_part_for(&[BoundElsewhere]),
    // Users, as they are read.
    row("getUser", 200, OVERSEEING).in_part_for(PUBLIC),
    row("getUserByOlderPath", 200, OVERSEEING).in_part_for(PUBLIC),
    row("getUserByUsername", 200, &[]).in_part_for(UNBOUND),
    row("getUserByUsernameByOlderPath", 200, &[]).in_part_for(UNBOUND),
    row("getMe", 200, &[Owner, OwnerWithoutRole]).in_part_for(NOT_OWNING),
    row("listUsers", 200, &[ADMIN]),
    row("listUsersByOlderPath", 200, &[ADMIN]),
    row("getUserAudit", 200, &[ADMIN]),
    row("getUserAuditByOlderPath", 200, &[ADMIN]),
    // Users, as they are decided about.
    public("registerUser", 201),
    public("registerUserByOlderPath", 201),
    row("changeProfile", 200, DECIDING).using_up(UsesUp::Person),
    row("replaceProfile", 200, DECIDING).using_up(UsesUp::Person),
    row("changeEmail", 200, DECIDING).using_up(UsesUp::Person),
    row("requestEmailVerification", 200, DECIDING).using_up(UsesUp::Person),
    row("changePassword", 204, &[Owner]).using_up(UsesUp::Person),
    // Handed out, it changes nothing; who confirms it brings back what nobody has here.
    row("enrolSecondFactor", 200, &[Owner]),
    public("confirmSecondFactor", 400),
    row("removeSecondFactor", 204, DECIDING).using_up(UsesUp::Person),
    row("eraseUser", 204, DECIDING).using_up(UsesUp::Person),
    row("deactivateUser", 200, &[ADMIN]).using_up(UsesUp::Person),
    row("reactivateUser", 200, &[ADMIN]).using_up(UsesUp::Person),
    row("grantRole", 200, &[ADMIN]).using_up(UsesUp::Person),
    row("revokeRole", 200, &[ADMIN]).using_up(UsesUp::Person),
    // By the token of a mail, which nobody has here.
    public("confirmRegistration", 400),
    public("registrationPage", 400),
    public("verifyEmail", 400),
    public("verificationPage", 400),
    public("forgotPassword", 202),
    public("resetPassword", 400),
    public("passwordPage", 400),
    // Sessions.
    public("logIn", 200),
    public("logInByOlderPath", 200),
    public("issueToken", 200),
    public("issueTokenByOlderPath", 200),
    public("refresh", 200),
    row("logOut", 204, KNOWN).using_up(UsesUp::Session),
    row("listSessions", 200, OVERSEEING),
    row("endSession", 204, DECIDING).hidden_from(&[Other, USER]).using_up(UsesUp::Session),
    // Everybody's own: of those who have not registered there are none.
    row("endOwnSessions", 204, &[Owner, Other, USER, ADMIN]).using_up(UsesUp::Person),
    row("endSessions", 204, DECIDING).using_up(UsesUp::Person),
    // What says nothing of anybody.
    public("getDecision", 404),
    public("getSigningKeys", 200),
    public("describeApi", 200),
    public("commandApiLives", 200),
    public("commandApiIsReady", 200),
    public("queryApiLives", 200),
    public("queryApiIsReady", 200),
];

/// The row of an operation.
pub(super) fn row_of(operation: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.operation == operation)
}

const fn row(operation: &'static str, done: u16, allowed: &'static [Caller]) -> Row {
    let (in_part, hidden_from): (&[Caller], &[Caller]) = (&[], &[]);
    let (is_public, uses_up) = (false, UsesUp::Nothing);
    Row { operation, done, uses_up, is_public, allowed, in_part, hidden_from }
}

/// Everybody may, whatever access token they send.
const fn public(operation: &'static str, done: u16) -> Row {
    Row { is_public: true, ..row(operation, done, &[]) }
}

impl Row {
    const fn in_part_for(self, in_part: &'static [Caller]) -> Self {
        Self { in_part, ..self }
    }

    const fn hidden_from(self, hidden_from: &'static [Caller]) -> Self {
        Self { hidden_from, ..self }
    }

    const fn using_up(self, uses_up: UsesUp) -> Self {
        Self { uses_up, ..self }
    }

    /// Whether nobody needs an access token.
    pub(super) fn is_public(&self) -> bool {
        self.is_public
    }

    /// Whether some see more than others.
    pub(super) fn is_shown_in_part(&self) -> bool {
        !self.in_part.is_empty()
    }

    /// What this caller is to be answered.
    pub(super) fn expects(&self, caller: Caller) -> Outcome {
        if self.is_public {
            return Outcome::Allowed;
        }
        match caller.unknown() {
            Some(why) => Outcome::Unauthenticated(why),
            None if self.allowed.contains(&caller) => Outcome::Allowed,
            None if self.in_part.contains(&caller) => Outcome::InPart,
            None if self.hidden_from.contains(&caller) => Outcome::Hidden,
            None => Outcome::Forbidden,
        }
    }
}
