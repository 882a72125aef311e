//! Who is calling and what they may do: access tokens, keys and roles.
