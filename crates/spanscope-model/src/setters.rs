//! [`setters!`]: a setter for each field of a struct that may grow.
//!
//! Such a struct is `#[non_exhaustive]`, so that a new field breaks no caller; then other crates
//! can't write it as a struct expression, not even with `..Default::default()`.

/// Declares setters that consume and return the struct, named like its fields. A field marked
/// `into` accepts any value that converts to its type: a `&str` for a `String`, a value or an
/// option for an `Option`.
#[doc(hidden)]
#[macro_export]
macro_rules! setters {
    ($type:ident { $($field:ident: $($kind:ident)? [$value:ty]),* $(,)? }) => {
        impl $type {
            $($crate::setters!(@ $field $($kind)? [$value]);)*
        }
    };
    (@ $field:ident into [$value:ty]) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: impl Into<$value>) -> Self {
            self.$field = $field.into();
            self
        }
    };
    (@ $field:ident [$value:ty]) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $value) -> Self {
            self.$field = $field;
            self
        }
    };
}
