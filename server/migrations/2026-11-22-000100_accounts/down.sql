DROP TABLE access_token, refresh_token, session, device, login_failure, account;
